"""Sums by channel from which a mean and a variance are made."""

from __future__ import annotations

from methods.parts.compiled.loops.compiling import Array, compiled_loop


@compiled_loop("nnnn")
def add_moments(z: Array, pivot: Array, sums: Array, squares: Array) -> None:
    """`sums += z - pivot` and `squares += (z - pivot)^2`."""
    for start in range(0, z.size, sums.size):
        tile = z[start : start + sums.size]
        for j in range(tile.size):
            moved = tile[j] - pivot[j]
            sums[j] += moved
            squares[j] += moved * moved
