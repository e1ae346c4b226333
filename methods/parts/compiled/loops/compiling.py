"""How the loops are compiled, and had in a process: from what Numba keeps on disk, or compiled now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
TILE = 256
"""Numbers of a tile, about: the arrays of one, and of what belongs to its channels, stay in the first cache."""

CANDIDATES, SHARED = 5, 3
"""Most candidates, and most tensors that all edges share, in one call: their arrays come in tuples of this length."""

_compile = njit(cache=True, fastmath={"contract", "reassoc", "nsz"}, nogil=True, error_model="numpy")
_loops: dict[Any, str] = {}
_EXAMPLES: dict[str, Any] = {
    "n": np.ones(1, np.float32),
    "m": np.ones((1, 1), np.float32),
    "c": np.ones((1, 1, 1), np.float32),
    "B": np.zeros((1, 1, 1), np.int8),
    "1": 1,
    "k": (np.ones(1, np.float32),) * CANDIDATES,
    "s": (np.ones(1, np.float32),) * SHARED,
}


def compiled_loop(arguments: str) -> Callable[[Callable[..., None]], Any]:
    """A function that Numba compiles.

    Args:
        arguments: what it takes: n, m, c for numbers in one, two and three dimensions; B for bytes in three; 1 for a
            count; k and s for the tuples of candidates and of what edges share.
    """

    def compile_(function: Callable[..., None]) -> Any:
        loop = _compile(function)
        _loops[loop] = arguments
        return loop

    return compile_


def tile_pixels(channels: int) -> int:
    """Pixels of a tile of so many channels."""
    return max(1, TILE // channels)


def call_each() -> None:
    """Every loop once, on one pixel of one channel in single precision, by which Numba loads or compiles it."""
    for loop, arguments in _loops.items():
        loop(*(_EXAMPLES[kind] for kind in arguments))


def forget() -> None:
    """Remove what Numba keeps of these loops on disk."""
    for loop in _loops:
        for path in Path(str(loop.stats.cache_path)).glob(f"{Path(loop.py_func.__code__.co_filename).stem}.*.nb[ic]"):
            path.unlink(missing_ok=True)
