"""What stops an input that hangs."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.fuzz.limits import at_once


def test_what_does_not_end_is_stopped() -> None:
    with pytest.raises(pytest.fail.Exception, match="not finished"), at_once(0.05):
        sum(1 for _ in itertools.count())
    with pytest.raises(pytest.fail.Exception, match="not finished"), at_once(0.01):
        time.sleep(5)
