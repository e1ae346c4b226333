"""`methods.parts.executors.weighted_sum` in four kernels a call: statistics, sum; and backward, reductions, gradients.

Symbols as there. The candidates themselves are kept for the backward pass, not their centred copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from methods.parts.executors.kernels import launch
from methods.parts.executors.kernels.statistics import batch_statistics, sum_type
from methods.parts.executors.kernels.tiles import PIXELS, tile, tiles

BLOCK = 1024
MOST_CANDIDATES, MOST_SHARED = 5, 3


def fused_weighted_sum(
    weights: Tensor, candidates: Sequence[Tensor], norms: Sequence[nn.BatchNorm2d], shared: Sequence[Tensor]
) -> Tensor:
    """As `methods.parts.executors.weighted_sum.weighted_sum`, for norms in training mode."""
    return _FusedWeightedSum.apply(weights, list(norms), *candidates, *shared)


class _FusedWeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, norms: list[nn.BatchNorm2d], *values: Tensor) -> Tensor:
        values = tuple(value.contiguous() for value in values)
        weights = weights.contiguous()
        like, edges = values[-1], len(weights)
        candidates, shared = values[: len(norms)], values[len(norms) :]
        batch, channels, height, width = like.shape
        statistics = torch.empty(len(norms), 2, edges * channels, device=like.device, dtype=sum_type(like.dtype)[0])
        for k, (z, norm) in enumerate(zip(candidates, norms, strict=True)):
            batch_statistics(z, norm, statistics[k])
        y = torch.empty(batch, edges * channels, height, width, device=like.device, dtype=like.dtype)
        arguments, sizes = _arguments(candidates, shared, like), _sizes(like, edges)
        launch(_weighted_sum_forward, _grid(like), weights, statistics, y, *arguments, **sizes)
        ctx.save_for_backward(weights, statistics, *values)
        ctx.candidates = len(norms)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, statistics, *values = ctx.saved_tensors
        candidates, shared = values[: ctx.candidates], values[ctx.candidates :]
        gradient, like, edges = gradient.contiguous(), values[-1], len(weights)
        grid, sizes = _grid(like), _sizes(like, edges)
        arguments = _arguments(candidates, shared, like)
        shape = (grid[1], like.shape[1], edges, 1 + len(values))
        partial = torch.empty(shape, device=like.device, dtype=statistics.dtype)
        launch(_weighted_sum_reductions, grid, gradient, statistics, partial, *arguments, **sizes)
        sums = partial.sum(0)
        weight_gradients = sums.sum(0)[:, 1:].to(weights.dtype)
        if not any(ctx.needs_input_grad[2:]):
            return weight_gradients, None, *[None] * len(values)
        gradients = [torch.empty_like(value) for value in values]
        written = _pointers(gradients[: ctx.candidates], gradients[ctx.candidates :], like)
        launch(_weighted_sum_gradients, grid, weights, gradient, statistics, sums, *arguments, *written, **sizes)
        return weight_gradients, None, *gradients


def _grid(like: Tensor) -> tuple[int, int]:
    batch, channels, height, width = like.shape
    return channels, tiles(batch, height * width, BLOCK)


def _pointers(candidates: Sequence[Tensor], shared: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """As many as the kernels name; those beyond `candidates` and `shared` are never read or written."""
    if len(candidates) > MOST_CANDIDATES or len(shared) > MOST_SHARED:
        raise ValueError(f"at most {MOST_CANDIDATES} candidates and {MOST_SHARED} shared tensors")
    return [
        *candidates, *[like] * (MOST_CANDIDATES - len(candidates)), *shared, *[like] * (MOST_SHARED - len(shared))
    ]  # fmt: skip


def _arguments(candidates: Sequence[Tensor], shared: Sequence[Tensor], like: Tensor) -> list[Any]:
    """Pointers, size of the batch, number of candidates and of shared tensors."""
    return [*_pointers(candidates, shared, like), len(like), len(candidates), len(shared)]


def _sizes(like: Tensor, edges: int) -> dict[str, Any]:
    height, width = like.shape[2:]
    sizes = {"edges": edges, "channels": like.shape[1], "pixels": height * width}
    return sizes | {"SUM": sum_type(like.dtype)[1], "IMAGES": BLOCK // PIXELS, "PIXELS": PIXELS}


SIZES = ["batch", "edges", "channels"]
"""Arguments for whose values no kernel of its own is compiled; of `pixels` it matters whether 16 divides them."""


@triton.jit
def _zhat(z, at, inside, statistics, row, c, filters, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    """A candidate's normalised values."""
    mean = tl.load(statistics + (2 * row) * filters + c)
    inverse = tl.load(statistics + (2 * row + 1) * filters + c)
    return (tl.load(z + at, mask=inside, other=0.0).to(SUM) - mean) * inverse


@triton.jit
def _shared(x0, x1, x2, at, inside, S: tl.constexpr, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    """What all edges share; where there are fewer than three, the first stands in and is not used."""
    v0 = tl.load(x0 + at, mask=inside, other=0.0).to(SUM)
    v1, v2 = v0, v0
    if S > 1:
        v1 = tl.load(x1 + at, mask=inside, other=0.0).to(SUM)
    if S > 2:
        v2 = tl.load(x2 + at, mask=inside, other=0.0).to(SUM)
    return v0, v1, v2


@triton.jit(do_not_specialize=SIZES)
def _weighted_sum_forward(  # type: ignore[no-untyped-def]
    weights, statistics, y, z0, z1, z2, z3, z4, x0, x1, x2, batch, K: tl.constexpr, S: tl.constexpr,
    edges, channels, pixels, SUM: tl.constexpr, IMAGES: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    channel, plane = tl.program_id(0), channels * pixels
    image, pixel, inside = tile(tl.program_id(1), batch, pixels, IMAGES, PIXELS)
    within = channel * pixels + pixel
    at = image * plane + within
    v0, v1, v2 = _shared(x0, x1, x2, at, inside, S, SUM)
    filters = edges * channels
    for e in range(edges):
        at = (image * edges + e) * plane + within
        c, w = e * channels + channel, weights + e * (K + S)
        value = v0 * tl.load(w + K).to(SUM)
        if S > 1:
            value += v1 * tl.load(w + K + 1).to(SUM)
        if S > 2:
            value += v2 * tl.load(w + K + 2).to(SUM)
        if K > 0:
            value += _zhat(z0, at, inside, statistics, 0, c, filters, SUM) * tl.load(w).to(SUM)
        if K > 1:
            value += _zhat(z1, at, inside, statistics, 1, c, filters, SUM) * tl.load(w + 1).to(SUM)
        if K > 2:
            value += _zhat(z2, at, inside, statistics, 2, c, filters, SUM) * tl.load(w + 2).to(SUM)
        if K > 3:
            value += _zhat(z3, at, inside, statistics, 3, c, filters, SUM) * tl.load(w + 3).to(SUM)
        if K > 4:
            value += _zhat(z4, at, inside, statistics, 4, c, filters, SUM) * tl.load(w + 4).to(SUM)
        tl.store(y + at, value, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _weighted_sum_reductions(  # type: ignore[no-untyped-def]
    gradient, statistics, partial, z0, z1, z2, z3, z4, x0, x1, x2, batch, K: tl.constexpr, S: tl.constexpr,
    edges, channels, pixels, SUM: tl.constexpr, IMAGES: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """Of every block, channel and edge: sum G, sum G zhat_k, sum G x_s."""
    channel, part, plane = tl.program_id(0), tl.program_id(1), channels * pixels
    image, pixel, inside = tile(part, batch, pixels, IMAGES, PIXELS)
    within = channel * pixels + pixel
    at = image * plane + within
    v0, v1, v2 = _shared(x0, x1, x2, at, inside, S, SUM)
    filters = edges * channels
    for e in range(edges):
        at = (image * edges + e) * plane + within
        c, out = e * channels + channel, partial + ((part * channels + channel) * edges + e) * (1 + K + S)
        g = tl.load(gradient + at, mask=inside, other=0.0).to(SUM)
        tl.store(out, tl.sum(g))
        if K > 0:
            tl.store(out + 1, tl.sum(g * _zhat(z0, at, inside, statistics, 0, c, filters, SUM)))
        if K > 1:
            tl.store(out + 2, tl.sum(g * _zhat(z1, at, inside, statistics, 1, c, filters, SUM)))
        if K > 2:
            tl.store(out + 3, tl.sum(g * _zhat(z2, at, inside, statistics, 2, c, filters, SUM)))
        if K > 3:
            tl.store(out + 4, tl.sum(g * _zhat(z3, at, inside, statistics, 3, c, filters, SUM)))
        if K > 4:
            tl.store(out + 5, tl.sum(g * _zhat(z4, at, inside, statistics, 4, c, filters, SUM)))
        tl.store(out + K + 1, tl.sum(g * v0))
        if S > 1:
            tl.store(out + K + 2, tl.sum(g * v1))
        if S > 2:
            tl.store(out + K + 3, tl.sum(g * v2))


@triton.jit
def _write_dz(  # type: ignore[no-untyped-def]
    dz, z, g, at, inside, weights, statistics, sums, k, c, total, filters, SUM: tl.constexpr
):
    zhat = _zhat(z, at, inside, statistics, k, c, filters, SUM)
    scale = tl.load(weights + k).to(SUM) * tl.load(statistics + (2 * k + 1) * filters + c)
    mean, dot = tl.load(sums) / total, tl.load(sums + 1 + k) / total
    tl.store(dz + at, scale * (g - mean - zhat * dot), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _weighted_sum_gradients(  # type: ignore[no-untyped-def]
    weights, gradient, statistics, sums, z0, z1, z2, z3, z4, x0, x1, x2, batch, K: tl.constexpr, S: tl.constexpr,
    dz0, dz1, dz2, dz3, dz4, dx0, dx1, dx2,
    edges, channels, pixels, SUM: tl.constexpr, IMAGES: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    channel, plane, total = tl.program_id(0), channels * pixels, batch * pixels
    image, pixel, inside = tile(tl.program_id(1), batch, pixels, IMAGES, PIXELS)
    within = channel * pixels + pixel
    s0, s1, s2 = tl.zeros([IMAGES, PIXELS], SUM), tl.zeros([IMAGES, PIXELS], SUM), tl.zeros([IMAGES, PIXELS], SUM)
    filters = edges * channels
    for e in range(edges):
        at = (image * edges + e) * plane + within
        c, w = e * channels + channel, weights + e * (K + S)
        row = sums + (channel * edges + e) * (1 + K + S)
        g = tl.load(gradient + at, mask=inside, other=0.0).to(SUM)
        if K > 0:
            _write_dz(dz0, z0, g, at, inside, w, statistics, row, 0, c, total, filters, SUM)
        if K > 1:
            _write_dz(dz1, z1, g, at, inside, w, statistics, row, 1, c, total, filters, SUM)
        if K > 2:
            _write_dz(dz2, z2, g, at, inside, w, statistics, row, 2, c, total, filters, SUM)
        if K > 3:
            _write_dz(dz3, z3, g, at, inside, w, statistics, row, 3, c, total, filters, SUM)
        if K > 4:
            _write_dz(dz4, z4, g, at, inside, w, statistics, row, 4, c, total, filters, SUM)
        s0 += g * tl.load(w + K).to(SUM)
        if S > 1:
            s1 += g * tl.load(w + K + 1).to(SUM)
        if S > 2:
            s2 += g * tl.load(w + K + 2).to(SUM)
    at = image * plane + within
    tl.store(dx0 + at, s0, mask=inside)
    if S > 1:
        tl.store(dx1 + at, s1, mask=inside)
    if S > 2:
        tl.store(dx2 + at, s2, mask=inside)
