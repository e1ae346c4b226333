"""What must be in the environment before anything is imported, of tests and of the processes that they start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
import torch

from bench.device import compiler

compiler.keep_out()  # as every command and every run begins

os.environ["DASBENCH_CALIBRATION"] = "0"  # what is fast here must not decide the bits that tests compare

if not torch.cuda.is_available():  # Triton interprets its kernels, on CPU tensors
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_machine() -> Iterator[None]:
    """Waiting for the disk would be minutes of the suite. What is killed here is killed without the machine, so that
    what was written stays; processes that tests start do wait."""
    with mock.patch("os.fsync", new=_at_once):
        yield


def _at_once(descriptor: int) -> None: ...
