"""ReLU, after a normalisation, or of a state that is repeated for every edge."""

from __future__ import annotations

from methods.parts.compiled.loops.compiling import Array, compiled_loop

VECTOR = 8
"""Numbers in single precision that a processor (AVX2) computes with at once; loops over fewer are not taken apart."""


@compiled_loop("nnnn")
def scale_relu(z: Array, factor: Array, shift: Array, y: Array) -> None:
    """`y = max(0, factor z + shift)`."""
    zero = z.dtype.type(0)
    for start in range(0, z.size, factor.size):
        seen, out = z[start : start + factor.size], y[start : start + factor.size]
        for j in range(seen.size):
            value = factor[j] * seen[j] + shift[j]
            out[j] = zero if value < zero else value  # not a number stays that


@compiled_loop("nnnnnn")
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


@compiled_loop("nnnnnnn")
def combine_gated(g: Array, z: Array, y: Array, by_g: Array, by_z: Array, shift: Array, out: Array) -> None:
    """`out = by_g g + by_z z + shift`, of the gradients where a ReLU's output y is positive."""
    zero = z.dtype.type(0)
    for start in range(0, z.size, by_g.size):
        left, right = g[start : start + by_g.size], z[start : start + by_g.size]
        opened, into = y[start : start + by_g.size], out[start : start + by_g.size]
        for j in range(left.size):
            passed = left[j] if opened[j] > zero else zero
            into[j] = by_g[j] * passed + by_z[j] * right[j] + shift[j]


@compiled_loop("11nn")
def repeat_relu(channels: int, edges: int, x: Array, y: Array) -> None:
    """`y = max(0, x)`, x repeated for every edge."""
    zero = x.dtype.type(0)
    for p in range(x.size // channels):
        seen, out = x[p * channels : (p + 1) * channels], y[p * channels * edges : (p + 1) * channels * edges]
        for e in range(edges):
            for c in range(channels):
                out[e * channels + c] = zero if seen[c] < zero else seen[c]  # not a number stays that


@compiled_loop("11nnn")
def sum_over_edges(channels: int, edges: int, g: Array, x: Array, out: Array) -> None:
    """`out = sum_e g_e` where x is positive, else zero."""
    zero = x.dtype.type(0)
    for p in range(x.size // channels):
        seen, into = x[p * channels : (p + 1) * channels], out[p * channels : (p + 1) * channels]
        left = g[p * channels * edges : (p + 1) * channels * edges]
        if channels < VECTOR:
            for c in range(channels):
                total = zero
                for e in range(edges):
                    total += left[e * channels + c]
                into[c] = total if seen[c] > zero else zero
        else:
            for c in range(channels):
                into[c] = left[c]
            for e in range(1, edges):
                for c in range(channels):
                    into[c] += left[e * channels + c]
            for c in range(channels):
                into[c] = into[c] if seen[c] > zero else zero
