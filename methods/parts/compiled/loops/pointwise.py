"""1x1 convolutions of a few channels an edge: a number sees those of its own pixel and edge, each at a fixed distance.

For each of the `2 channels - 1` distances there is a tile of weights, which are zero where it leads out of the edge.
"""

from __future__ import annotations

from methods.parts.compiled.loops.compiling import Array, compiled_loop


@compiled_loop("nmn")
def mix(x: Array, weights: Array, y: Array) -> None:
    """`y_j = sum_d weights_d,j x_{j + d}`, d from `-(channels - 1)` to `channels - 1`."""
    distances, tile = weights.shape
    for start in range(0, x.size, tile):
        out = y[start : start + tile]
        for j in range(out.size):
            out[j] = 0
        for d in range(distances):
            moved = start + d - distances // 2
            first, end = max(0, -moved), min(out.size, x.size - moved)
            part, seen, weight = out[first:end], x[moved + first : moved + end], weights[d, first:end]
            for j in range(part.size):
                part[j] += weight[j] * seen[j]


@compiled_loop("nnm")
def add_mixed_products(g: Array, x: Array, products: Array) -> None:
    """`products_d,j += g_j x_{j + d}`, d as for `mix`."""
    distances, tile = products.shape
    for start in range(0, x.size, tile):
        left = g[start : start + tile]
        for d in range(distances):
            moved = start + d - distances // 2
            first, end = max(0, -moved), min(left.size, x.size - moved)
            part, seen, total = left[first:end], x[moved + first : moved + end], products[d, first:end]
            for j in range(part.size):
                total[j] += part[j] * seen[j]
