"""3x3 pools with stride 1, padded to keep the size, of (batch, h, w * channels): along rows, then across them."""

from __future__ import annotations

import numpy as np

from methods.parts.compiled.loops.compiling import Array, compiled_loop


@compiled_loop("c1cB")
def max_pool(x: Array, channels: int, y: Array, places: Array) -> None:
    """`y` and where in its window the largest number stands: 3 a + b, row a and column b from the upper left.

    Of equal ones the first, row by row, as torch has it; not a number counts as the largest.
    """
    batch, height, row = x.shape
    best, columns = np.empty((height, row), x.dtype), np.empty((height, row), x.dtype)  # of one type: vectors
    place = np.empty(row, x.dtype)
    for n in range(batch):
        for i in range(height):
            seen, largest, column = x[n, i], best[i], columns[i]
            for j in range(channels):
                largest[j] = seen[j]
                column[j] = 1
            now, here, behind = seen[channels:], largest[channels:], column[channels:]
            for j in range(row - channels):
                take = (now[j] > seen[j]) | (now[j] != now[j])
                here[j] = now[j] if take else seen[j]
                behind[j] = 1 if take else 0
            for j in range(row - channels):
                take = (now[j] > largest[j]) | (now[j] != now[j])
                largest[j] = now[j] if take else largest[j]
                column[j] = 2 if take else column[j]
        for i in range(height):
            out = y[n, i]
            first = max(0, i - 1)
            start = 3 * (first - i + 1)
            largest, column = best[first], columns[first]
            for j in range(row):
                out[j] = largest[j]
                place[j] = column[j] + start
            for a in range(first + 1, min(height, i + 2)):
                largest, column = best[a], columns[a]
                start = 3 * (a - i + 1)
                for j in range(row):
                    take = (largest[j] > out[j]) | (largest[j] != largest[j])
                    out[j] = largest[j] if take else out[j]
                    place[j] = column[j] + start if take else place[j]
            for j in range(row):
                places[n, i, j] = np.int8(place[j])


@compiled_loop("cB1c")
def spread_to_largest(g: Array, places: Array, channels: int, out: Array) -> None:
    """The gradients of `max_pool`, each added to `out` where the largest number of its window stood."""
    batch, height, row = g.shape
    for n in range(batch):
        for i in range(height):
            into = out[n, i]
            for a in range(max(0, i - 1), min(height, i + 2)):
                left, place = g[n, a], places[n, a]
                for b in range(3):
                    wanted, right = np.int8(3 * (i - a + 1) + b), (b - 1) * channels
                    if abs(right) >= row:
                        continue
                    part = into[max(0, right) : row - max(0, -right)]
                    passed, at = left[max(0, -right) :], place[max(0, -right) :]
                    for j in range(part.size):
                        part[j] += passed[j] if at[j] == wanted else 0


@compiled_loop("c1mmc")
def box_sums(x: Array, channels: int, before: Array, after: Array, y: Array) -> None:
    """`y = box(x / before) / after`, the sums of the pixels around each; before, after: (h, w * channels)."""
    batch, height, row = x.shape
    sums = np.empty((height, row), x.dtype)
    scaled = np.empty(row, x.dtype)
    for n in range(batch):
        for i in range(height):
            seen, total, divisor = x[n, i], sums[i], before[i]
            for j in range(row):
                scaled[j] = seen[j] / divisor[j]
                total[j] = scaled[j]
            left, right = total[: row - channels], total[channels:]
            for j in range(row - channels):
                left[j] += scaled[j + channels]
            for j in range(row - channels):
                right[j] += scaled[j]
        for i in range(height):
            out, divisor = y[n, i], after[i]
            for j in range(row):
                out[j] = sums[i, j]
            for a in range(max(0, i - 1), min(height, i + 2)):
                if a != i:
                    total = sums[a]
                    for j in range(row):
                        out[j] += total[j]
            for j in range(row):
                out[j] /= divisor[j]
