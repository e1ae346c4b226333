"""The loops themselves, over activations as they lie in channels-last memory: pixel by pixel, its channels together.

An activation is a flat array, taken in tiles of `PIXELS` pixels. What belongs to a channel (a mean, a scale, a sum) is
an array of a tile's length too, in which the channels repeat: each number of a tile then has its own, next to the last
one's, and the innermost loops are as long as a tile and run in vectors whatever the number of channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
PIXELS = 64
"""Of a tile: with up to some hundred channels its arrays stay in the first cache."""

_compile = njit(cache=True, fastmath={"contract", "reassoc", "nsz"}, nogil=True, error_model="numpy")


@_compile
def add_sums(z: Array, sums: Array) -> None:
    """`sums += z`, over the tiles of z."""
    for start in range(0, z.size, sums.size):
        tile = z[start : start + sums.size]
        for j in range(tile.size):
            sums[j] += tile[j]


@_compile
def add_squares(z: Array, mean: Array, sums: Array) -> None:
    """`sums += (z - mean)^2`."""
    for start in range(0, z.size, sums.size):
        tile = z[start : start + sums.size]
        for j in range(tile.size):
            centred = tile[j] - mean[j]
            sums[j] += centred * centred


@_compile
def add_products(g: Array, z: Array, mean: Array, sums: Array) -> None:
    """`sums += g (z - mean)`."""
    for start in range(0, z.size, sums.size):
        left, right = g[start : start + sums.size], z[start : start + sums.size]
        for j in range(left.size):
            sums[j] += left[j] * (right[j] - mean[j])


@_compile
def add_scaled(z: Array, factor: Array, shift: Array, y: Array) -> None:
    """`y += factor z + shift`."""
    for start in range(0, z.size, factor.size):
        seen, out = z[start : start + factor.size], y[start : start + factor.size]
        for j in range(seen.size):
            out[j] += factor[j] * seen[j] + shift[j]


@_compile
def combine(g: Array, z: Array, by_g: Array, by_z: Array, shift: Array, y: Array) -> None:
    """`y = by_g g + by_z z + shift`."""
    for start in range(0, z.size, by_g.size):
        left, right = g[start : start + by_g.size], z[start : start + by_g.size]
        out = y[start : start + by_g.size]
        for j in range(left.size):
            out[j] = by_g[j] * left[j] + by_z[j] * right[j] + shift[j]


@_compile
def scale_relu(z: Array, factor: Array, shift: Array, y: Array) -> None:
    """`y = max(0, factor z + shift)`."""
    zero = z.dtype.type(0)
    for start in range(0, z.size, factor.size):
        seen, out = z[start : start + factor.size], y[start : start + factor.size]
        for j in range(seen.size):
            value = factor[j] * seen[j] + shift[j]
            out[j] = zero if value < zero else value  # not a number stays that


@_compile
def add_gated_sums(g: Array, z: Array, y: Array, mean: Array, sums: Array, products: Array) -> None:
    """Of the gradients where a ReLU's output y is positive: `sums += g` and `products += g (z - mean)`."""
    zero = z.dtype.type(0)
    for start in range(0, z.size, sums.size):
        left, right = g[start : start + sums.size], z[start : start + sums.size]
        opened = y[start : start + sums.size]
        for j in range(left.size):
            passed = left[j] if opened[j] > zero else zero
            sums[j] += passed
            products[j] += passed * (right[j] - mean[j])


@_compile
def combine_gated(g: Array, z: Array, y: Array, by_g: Array, by_z: Array, shift: Array, out: Array) -> None:
    """As `combine`, of the gradients where a ReLU's output y is positive."""
    zero = z.dtype.type(0)
    for start in range(0, z.size, by_g.size):
        left, right = g[start : start + by_g.size], z[start : start + by_g.size]
        opened, into = y[start : start + by_g.size], out[start : start + by_g.size]
        for j in range(left.size):
            passed = left[j] if opened[j] > zero else zero
            into[j] = by_g[j] * passed + by_z[j] * right[j] + shift[j]


# -- a state's channels, once for every edge: `index` says which of a state's tile a number of the edges' tile sees


@_compile
def add_repeated(x: Array, index: Array, factor: Array, y: Array) -> None:
    """`y += factor x`, x repeated for every edge."""
    step = x.size * factor.size // y.size
    for tile in range((y.size + factor.size - 1) // factor.size):
        out, seen = y[tile * factor.size : (tile + 1) * factor.size], x[tile * step : (tile + 1) * step]
        for j in range(out.size):
            out[j] += factor[j] * seen[index[j]]


@_compile
def add_repeated_products(g: Array, x: Array, index: Array, sums: Array) -> None:
    """`sums += g x`, x repeated for every edge."""
    step = x.size * sums.size // g.size
    for tile in range((g.size + sums.size - 1) // sums.size):
        left, seen = g[tile * sums.size : (tile + 1) * sums.size], x[tile * step : (tile + 1) * step]
        for j in range(left.size):
            sums[j] += left[j] * seen[index[j]]


@_compile
def sum_over_edges(g: Array, first: Array, channels: int, edges: int, factor: Array, out: Array) -> None:
    """`out = sum_e factor_e g_e`: `first` says where a state's number is on the first edge's part of a tile."""
    step = g.size * first.size // out.size
    for tile in range((out.size + first.size - 1) // first.size):
        left, into = g[tile * step : (tile + 1) * step], out[tile * first.size : (tile + 1) * first.size]
        for j in range(into.size):
            into[j] = factor[0] * left[first[j]]
        for e in range(1, edges):
            weight, offset = factor[e], e * channels
            for j in range(into.size):
                into[j] += weight * left[first[j] + offset]


@_compile
def repeat_relu(x: Array, index: Array, y: Array) -> None:
    """`y = max(0, x)`, x repeated for every edge."""
    zero = x.dtype.type(0)
    step = x.size * index.size // y.size
    for tile in range((y.size + index.size - 1) // index.size):
        out, seen = y[tile * index.size : (tile + 1) * index.size], x[tile * step : (tile + 1) * step]
        for j in range(out.size):
            value = seen[index[j]]
            out[j] = zero if value < zero else value


# -- convolutions


@_compile
def add_taps(x: Array, g: Array, channels: int, dilation: int, sums: Array) -> None:
    """Sums of a depthwise convolution's weight gradient, stride 1, zero padding that keeps the size.

    x, g: (batch, h, w * channels); sums: (kernel, kernel, w * channels), each number of a row on its own:
    `sums[a, b] += x g`, x seen `a - kernel // 2` rows and `b - kernel // 2` pixels further, dilated.
    """
    batch, height, row = x.shape
    kernel = sums.shape[0]
    for n in range(batch):
        for a in range(kernel):
            down = (a - kernel // 2) * dilation
            for b in range(kernel):
                right = (b - kernel // 2) * dilation * channels
                if abs(right) >= row:
                    continue
                total = sums[a, b, max(0, -right) : row - max(0, right)]
                for i in range(max(0, -down), height - max(0, down)):
                    left = g[n, i, max(0, -right) : row - max(0, right)]
                    seen = x[n, i + down, max(0, right) : row - max(0, -right)]
                    for j in range(total.size):
                        total[j] += left[j] * seen[j]


# -- around the loops


def call_each() -> None:
    """Every loop once, on one pixel of one channel in single precision, by which Numba loads or compiles it."""
    one, place = np.ones(1, np.float32), np.zeros(1, np.int32)
    for loop, extra in _ARGUMENTS.items():
        loop(*(one.copy() if kind == "n" else place for kind in extra))
    sum_over_edges(one, place, 1, 1, one, one.copy())
    square = np.ones((1, 1, 1), np.float32)
    add_taps(square, square, 1, 1, square.copy())


_ARGUMENTS: dict[Any, str] = {
    add_sums: "nn",
    add_squares: "nnn",
    add_products: "nnnn",
    scale_relu: "nnnn",
    add_scaled: "nnnn",
    combine: "nnnnnn",
    add_gated_sums: "nnnnnn",
    combine_gated: "nnnnnnn",
    add_repeated: "ninn",
    add_repeated_products: "nnin",
    repeat_relu: "nin",
}
"""Of most loops, the arguments: n for numbers, i for places."""


def forget() -> None:
    """Remove what Numba keeps of these loops on disk."""
    folder = Path(str(add_sums.stats.cache_path))
    for path in [*folder.glob(f"{Path(__file__).stem}.*.nbi"), *folder.glob(f"{Path(__file__).stem}.*.nbc")]:
        path.unlink(missing_ok=True)


def index_of(channels: int, edges: int) -> Array:
    """Of a tile with (pixel, edge, channel), the place of (pixel, channel) in the state's."""
    j = np.arange(PIXELS * edges * channels)
    return (j // (edges * channels) * channels + j % channels).astype(np.int32)


def first_of(channels: int, edges: int) -> Array:
    """Of a tile with (pixel, channel), the place of (pixel, first edge, channel)."""
    j = np.arange(PIXELS * channels)
    return (j // channels * edges * channels + j % channels).astype(np.int32)
