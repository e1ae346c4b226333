"""What a step frees is there for the next one: the system clears no page of it a second time."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from bench.device.engine import make_engine

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    for size in (2**22, 2**23, 2**24):
        torch.ones(size)

if sys.argv[1] == "engine":
    make_engine(torch.device("cpu"), "fp32", deterministic=True, threads=1)
for _ in range(5):
    step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


def faults_of(what: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, what], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_an_engine_on_a_cpu_keeps_what_a_step_freed() -> None:
    pages = 5 * 4 * (2**22 + 2**23 + 2**24) // resource.getpagesize()
    assert faults_of("engine") < pages / 10
