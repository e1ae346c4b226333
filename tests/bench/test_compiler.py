"""A process that compiles nothing does without torch's compiler, and one that does gets it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from bench.records.directory import RunDirectory

COMPILES_LATER = """
from bench.device.compiler import NAME, NothingToCompile, keep_out
keep_out()
import sys, torch
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.SGD([weight], 0.5, momentum=0.9, fused=True)
for _ in range(2):
    optimizer.zero_grad()
    weight.sum().backward()
    optimizer.step()
assert isinstance(sys.modules[NAME], NothingToCompile)
print(torch.allclose(weight, torch.full((3,), 1 - 0.5 - 0.5 * 1.9)))
print(torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)).item())
assert not isinstance(sys.modules[NAME], NothingToCompile)
print(torch._dynamo.config.__name__)
"""


@pytest.mark.long
def test_an_optimiser_steps_without_it_and_a_compilation_brings_it() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILES_LATER], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps, compiled, config = done.stdout.splitlines()
    assert (steps, compiled, config) == ("True", "1.0", "torch._dynamo.config")


def test_no_run_imports_it(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    directory = tiny_runs("darts")[0]
    command = [sys.executable, "-m", "bench.run", str(directory.path), "--device", "cpu"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "torch.optim" in done.stderr
    assert "torch._dynamo.eval_frame" not in done.stderr
