"""Weighting and sum over the candidates of edges, tile by tile: every array is read once, forward, and twice, backward.

Names: g and y are of all edges, (pixel, edge, channel); zs are candidates, of all edges too; xs are what all edges
share, (pixel, channel). Of the tuples the first `count` and `shared` arrays are meant. What belongs to channels is
(candidate, tile), (shared, tile) or (shared, edge, tile); a tile of what edges share is their number times shorter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from methods.parts.compiled.loops.compiling import Array, compiled_loop


@compiled_loop("1n1k1mns1cn")
def weigh(
    channels: int, arrived: Array, step: int, zs: Any, count: int, factors: Array, shift: Array,
    xs: Any, shared: int, shared_factors: Array, y: Array,
) -> None:  # fmt: skip
    """`y = arrived + shift + sum_k factor_k z_k + sum_s factor_s,e x_s`.

    A pixel of what arrived begins `step` numbers after the last one; with 0, nothing arrived.
    """
    tile, edges, part = shift.size, shared_factors.shape[1], shared_factors.shape[2]
    width = edges * channels
    mixed = np.empty(part, y.dtype)
    for t in range((y.size + tile - 1) // tile):
        out = y[t * tile : (t + 1) * tile]
        for j in range(out.size):
            out[j] = shift[j]
        if step:
            for p in range(out.size // width):
                pixel, begin = out[p * width : (p + 1) * width], (t * (tile // width) + p) * step
                seen = arrived[begin : begin + width]
                for j in range(width):
                    pixel[j] += seen[j]
        for k in range(count):
            seen, factor = zs[k][t * tile : (t + 1) * tile], factors[k]
            for j in range(out.size):
                out[j] += factor[j] * seen[j]
        if shared == 0:
            continue
        for e in range(edges):
            for s in range(shared):
                seen, factor = xs[s][t * part : (t + 1) * part], shared_factors[s, e]
                if s == 0:
                    for j in range(seen.size):
                        mixed[j] = factor[j] * seen[j]
                else:
                    for j in range(seen.size):
                        mixed[j] += factor[j] * seen[j]
            for p in range(out.size // width):
                for c in range(channels):
                    out[p * width + e * channels + c] += mixed[p * channels + c]


@compiled_loop("1nk1ms1mnmc")
def add_products(
    channels: int, g: Array, zs: Any, count: int, means: Array, xs: Any, shared: int, shared_means: Array,
    sums: Array, products: Array, shared_products: Array,
) -> None:  # fmt: skip
    """`sums += g`, `products_k += g (z_k - mean_k)` and `shared_products_s,e += g_e (x_s - mean_s)`."""
    tile, edges, part = sums.size, shared_products.shape[1], shared_products.shape[2]
    width = edges * channels
    of_edge = np.empty(part, g.dtype)
    for t in range((g.size + tile - 1) // tile):
        left = g[t * tile : (t + 1) * tile]
        for j in range(left.size):
            sums[j] += left[j]
        for k in range(count):
            seen, mean, total = zs[k][t * tile : (t + 1) * tile], means[k], products[k]
            for j in range(left.size):
                total[j] += left[j] * (seen[j] - mean[j])
        if shared == 0:
            continue
        for e in range(edges):
            for p in range(left.size // width):
                for c in range(channels):
                    of_edge[p * channels + c] = left[p * width + e * channels + c]
            for s in range(shared):
                seen, mean, total = xs[s][t * part : (t + 1) * part], shared_means[s], shared_products[s, e]
                for j in range(seen.size):
                    total[j] += of_edge[j] * (seen[j] - mean[j])


@compiled_loop("nk1mmmk")
def combine_each(g: Array, zs: Any, count: int, by_g: Array, by_z: Array, shifts: Array, outs: Any) -> None:
    """`out_k = by_g_k g + by_z_k z_k + shift_k`."""
    tile = by_g.shape[1]
    for t in range((g.size + tile - 1) // tile):
        left = g[t * tile : (t + 1) * tile]
        for k in range(count):
            seen, out = zs[k][t * tile : (t + 1) * tile], outs[k][t * tile : (t + 1) * tile]
            of_g, of_z, shift = by_g[k], by_z[k], shifts[k]
            for j in range(left.size):
                out[j] = of_g[j] * left[j] + of_z[j] * seen[j] + shift[j]


@compiled_loop("1ns1cmms")
def combine_shared(
    channels: int, g: Array, xs: Any, shared: int, by_g: Array, by_x: Array, shifts: Array, outs: Any
) -> None:
    """`out_s = sum_e by_g_s,e g_e + by_x_s x_s + shift_s`."""
    edges, part = by_g.shape[1], by_g.shape[2]
    tile, width = edges * part, edges * channels
    of_edge = np.empty(part, g.dtype)
    for t in range((g.size + tile - 1) // tile):
        left = g[t * tile : (t + 1) * tile]
        for s in range(shared):
            seen, out = xs[s][t * part : (t + 1) * part], outs[s][t * part : (t + 1) * part]
            of_x, shift = by_x[s], shifts[s]
            for j in range(seen.size):
                out[j] = of_x[j] * seen[j] + shift[j]
        for e in range(edges):
            for p in range(left.size // width):
                for c in range(channels):
                    of_edge[p * channels + c] = left[p * width + e * channels + c]
            for s in range(shared):
                out, factor = outs[s][t * part : (t + 1) * part], by_g[s, e]
                for j in range(out.size):
                    out[j] += factor[j] * of_edge[j]
