"""What an engine measures."""

from __future__ import annotations

import subprocess
import sys

import torch

from bench.device.engine import largest_resident_set

SIZE = 300 * 2**20
OF_A_CHILD = """
import bench.device.engine as engine
print(engine.largest_resident_set())
"""


def test_the_largest_resident_set_is_of_this_process_alone() -> None:
    """A large process starts one that imports no more; the system's own count would give it its parent's memory."""
    own = largest_resident_set()
    held = torch.ones(2 * SIZE, dtype=torch.uint8)
    assert largest_resident_set() >= min(own + SIZE, 3 * SIZE)
    done = subprocess.run([sys.executable, "-c", OF_A_CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) < largest_resident_set() - SIZE
    assert held.sum() > 0
