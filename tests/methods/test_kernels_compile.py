"""Every kernel compiles for the GPUs it is written for, without one: the interpreter alone would not notice types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton.backends.nvidia")

PREDICATES = 16
"""Bytes of stack in which the compiler puts masks, of which a thread holds seven in registers."""


@pytest.mark.long
def test_kernels_compile_without_spilling_registers(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(Path(__file__).with_name("compile_kernels.py")), "90"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    names = {name for name, *_ in lines}
    assert len(names) == 9, names
    assert [line for line in lines if int(line[-1]) > PREDICATES] == []
