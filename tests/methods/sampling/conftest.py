"""The tiny space, for methods that find their space by name."""

from __future__ import annotations

import pytest

from methods.sampling import code_search
from methods.spaces import get_space
from tests.methods.sampling.landscapes import TinySpace


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinySpace:
    """A space that the methods know under the name "tiny"."""
    monkeypatch.setattr(code_search, "get_space", lambda name: TinySpace() if name == "tiny" else get_space(name))
    return TinySpace()
