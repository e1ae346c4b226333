"""Depthwise convolutions that rectify what they read, and normalise it first where it is a convolution's output.

`relu_depthwise` reads one state for all the edges that leave it: channel c of edge e is a convolution of state channel
c, and the state is neither rectified nor repeated in memory. `norm_relu_depthwise` stands between the two halves of a
separable convolution: batch normalisation, ReLU and convolution, of which only the input is kept. Zero padding keeps
the size at stride 1; at stride 2 height and width are halved, rounded up.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from methods.parts.executors.kernels import launch
from methods.parts.executors.kernels.statistics import batch_statistics, sum_type
from methods.parts.executors.kernels.tiles import PIXELS, tile, tiles

BLOCK = 512
NORM_BLOCK = 1024
PROGRAMS = 2048
"""About how many programs a weight gradient is divided into; each then adds up several blocks."""

KERNELS = (3, 5)
EDGES_AT_ONCE = 4


def relu_depthwise(state: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """ReLU and one depthwise convolution for every edge.

    Args:
        state: (batch, channels, h, w).
        weight: (edges * channels, 1, k, k), k 3 or 5.

    Returns:
        (batch, edges * channels, h / stride, w / stride), rounded up.
    """
    return _Depthwise.apply(_mixed_precision(state), weight, None, stride, dilation)


def norm_relu_depthwise(z: Tensor, weight: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch normalisation without scale and shift, ReLU, depthwise convolution with stride 1.

    Args:
        z: (batch, channels, h, w).
        weight: (channels, 1, k, k), k 3 or 5.
        norm: in training mode; its running statistics are updated as in its `forward`.
    """
    return _Depthwise.apply(_mixed_precision(z), weight, norm, 1, 1)


def _mixed_precision(x: Tensor) -> Tensor:
    """As autocast would for a convolution."""
    if x.is_meta:  # has no autocast
        return x
    if torch.is_autocast_enabled(x.device.type) and x.dtype == torch.float32:
        return x.to(torch.get_autocast_dtype(x.device.type))
    return x


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, norm: nn.BatchNorm2d | None, stride: int, dilation: int) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        if weight.shape[-1] not in KERNELS or len(weight) % x.shape[1]:
            raise ValueError(f"weights {tuple(weight.shape)} do not fit {x.shape[1]} channels, or are too large")
        statistics = torch.empty(2, x.shape[1], device=x.device, dtype=sum_type(x.dtype)[0])
        if norm is not None:
            batch_statistics(x, norm, statistics)
        batch, channels, height, width = x.shape
        out = (height - 1) // stride + 1, (width - 1) // stride + 1
        edges = len(weight) // channels
        y = torch.empty(batch, len(weight), *out, device=x.device, dtype=x.dtype)
        sizes = _sizes(x, weight, y, norm is not None, stride, dilation)
        total, group = batch * out[0] * out[1], 1 if edges == 1 else EDGES_AT_ONCE
        grid = channels, triton.cdiv(total, BLOCK), triton.cdiv(edges, group)
        launch(_depthwise_forward, grid, x, weight, statistics, y, total, GROUP=group, **sizes)
        ctx.save_for_backward(x, weight, statistics)
        ctx.sizes = sizes
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weight, statistics = ctx.saved_tensors
        gradient = gradient.contiguous()
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(x, weight, statistics, gradient, ctx.sizes)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, weight, statistics, gradient, ctx.sizes)
        return grad_x, grad_weight, None, None, None


def _sizes(x: Tensor, weight: Tensor, y: Tensor, norm: bool, stride: int, dilation: int) -> dict[str, Any]:
    channels, height, width = x.shape[1:]
    return {
        "edges": len(weight) // channels,
        "channels": channels,
        "height": height,
        "width": width,
        "rows": y.shape[2],
        "columns": y.shape[3],
        "dilation": dilation,
        "K": weight.shape[-1],
        "STRIDE": stride,
        "NORM": norm,
        "SUM": sum_type(x.dtype)[1],
        "B": BLOCK,
    }


def _input_gradient(x: Tensor, weight: Tensor, statistics: Tensor, gradient: Tensor, sizes: dict[str, Any]) -> Tensor:
    total, channels = x.numel() // x.shape[1], x.shape[1]
    parts = triton.cdiv(total, BLOCK)
    grad_x = torch.empty_like(x)
    partial = torch.empty((parts, channels, 2) if sizes["NORM"] else (1,), device=x.device, dtype=statistics.dtype)
    tensors = x, weight, statistics, gradient, grad_x, partial
    launch(_depthwise_input_gradient, (channels, parts), *tensors, total, **sizes)
    if sizes["NORM"]:
        batch, pixels = len(x), x.shape[2] * x.shape[3]
        grid = channels, tiles(batch, pixels, NORM_BLOCK)
        shape = {"SUM": sizes["SUM"], "IMAGES": NORM_BLOCK // PIXELS, "PIXELS": PIXELS}
        launch(_norm_gradient, grid, x, statistics, partial.sum(0), grad_x, batch, pixels, channels, **shape)
    return grad_x


def _weight_gradient(x: Tensor, weight: Tensor, statistics: Tensor, gradient: Tensor, sizes: dict[str, Any]) -> Tensor:
    total, filters = gradient.numel() // gradient.shape[1], len(weight)
    blocks = triton.cdiv(total, BLOCK)
    chunks = triton.cdiv(blocks, max(1, PROGRAMS // filters))
    parts = triton.cdiv(blocks, chunks)
    partial = torch.empty(parts, filters, sizes["K"] ** 2, device=x.device, dtype=statistics.dtype)
    launch(_depthwise_weight_gradient, (filters, parts), x, statistics, gradient, partial, total, chunks, **sizes)
    return partial.sum(0).view(weight.shape).to(weight.dtype)


SIZES = ["total", "edges", "channels", "height", "width", "rows", "columns", "dilation", "chunks"]
"""Arguments for whose values no kernel of its own is compiled."""


@triton.jit
def _place(i, height, width):  # type: ignore[no-untyped-def]
    """Image, row and column of the pixel number i of a channel."""
    image = i // (height * width)
    within = i - image * (height * width)
    row = within // width
    return image, row, within - row * width


@triton.jit
def _read(x, at, inside, mean, inverse, NORM: tl.constexpr, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    """What the convolution sees: rectified, zero outside the image."""
    value = tl.load(x + at, mask=inside, other=0.0).to(SUM)
    if NORM:
        value = (value - mean) * inverse
    return tl.where(inside & ~(value <= 0.0), value, 0.0)


@triton.jit
def _statistics(statistics, channel, channels, NORM: tl.constexpr, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    mean, inverse = tl.zeros([], SUM), tl.zeros([], SUM)
    if NORM:
        mean, inverse = tl.load(statistics + channel), tl.load(statistics + channels + channel)
    return mean, inverse


@triton.jit(do_not_specialize=SIZES)
def _depthwise_forward(  # type: ignore[no-untyped-def]
    x, weight, statistics, y, total, GROUP: tl.constexpr, edges, channels, height, width, rows, columns,
    dilation, K: tl.constexpr, STRIDE: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """GROUP edges at once, one or four: what they share is read once. Those that do not exist repeat the last one."""
    channel, first = tl.program_id(0), tl.program_id(2) * GROUP
    i = tl.program_id(1) * B + tl.arange(0, B)
    inside = i < total
    image, oy, ox = _place(i, rows, columns)
    mean, inverse = _statistics(statistics, channel, channels, NORM, SUM)
    filters, others = channels * K * K, edges - 1 - first
    w = weight + first * filters + channel * (K * K)
    s0, s1, s2, s3 = tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM)
    for ky in range(K):  # not unrolled: that takes all registers
        iy = oy * STRIDE + (ky - K // 2) * dilation
        row_inside = inside & (iy >= 0) & (iy < height)
        row = ((image * channels + channel) * height + iy) * width
        for kx in tl.static_range(K):
            ix = ox * STRIDE + (kx - K // 2) * dilation
            value = _read(x, row + ix, row_inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
            s0 += value * tl.load(w + (ky * K + kx)).to(SUM)
            if GROUP > 1:
                tap = w + (ky * K + kx)
                s1 += value * tl.load(tap + tl.minimum(1, others) * filters).to(SUM)
                s2 += value * tl.load(tap + tl.minimum(2, others) * filters).to(SUM)
                s3 += value * tl.load(tap + tl.minimum(3, others) * filters).to(SUM)
    at = ((image * (edges * channels) + first * channels + channel) * rows + oy) * columns + ox
    tl.store(y + at, s0, mask=inside)
    if GROUP > 1:
        edge = channels * rows * columns
        tl.store(y + at + edge, s1, mask=i < tl.where(others > 0, total, 0))
        tl.store(y + at + 2 * edge, s2, mask=i < tl.where(others > 1, total, 0))
        tl.store(y + at + 3 * edge, s3, mask=i < tl.where(others > 2, total, 0))


@triton.jit(do_not_specialize=SIZES)
def _depthwise_input_gradient(  # type: ignore[no-untyped-def]
    x, weight, statistics, gradient, grad_x, partial, total, edges, channels, height, width, rows, columns,
    dilation, K: tl.constexpr, STRIDE: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """To the input of the ReLU; with NORM also, of every block, the sums that the normalisation's gradient needs."""
    channel, part = tl.program_id(0), tl.program_id(1)
    i = part * B + tl.arange(0, B)
    inside = i < total
    image, iy, ix = _place(i, height, width)
    mean, inverse = _statistics(statistics, channel, channels, NORM, SUM)
    total_gradient = tl.zeros([B], SUM)
    for e in range(edges):
        w = weight + (e * channels + channel) * (K * K)
        for ky in range(K):  # not unrolled: that takes all registers
            ty = iy - (ky - K // 2) * dilation
            oy = ty // STRIDE
            row_inside = inside & (ty >= 0) & (oy < rows) & (oy * STRIDE == ty)
            row = ((image * (edges * channels) + e * channels + channel) * rows + oy) * columns
            for kx in tl.static_range(K):
                tx = ix - (kx - K // 2) * dilation
                ox = tx // STRIDE
                within = row_inside & (tx >= 0) & (ox < columns) & (ox * STRIDE == tx)
                g = tl.load(gradient + row + ox, mask=within, other=0.0).to(SUM)
                total_gradient += g * tl.load(w + (ky * K + kx)).to(SUM)
    at = ((image * channels + channel) * height + iy) * width + ix
    value = tl.load(x + at, mask=inside, other=0.0).to(SUM)
    if NORM:
        value = (value - mean) * inverse
    total_gradient = tl.where(inside & (value > 0.0), total_gradient, 0.0)
    tl.store(grad_x + at, total_gradient, mask=inside)
    if NORM:
        out = partial + (part * channels + channel) * 2
        tl.store(out, tl.sum(total_gradient, 0))
        tl.store(out + 1, tl.sum(total_gradient * value, 0))


@triton.jit(do_not_specialize=["batch", "channels"])
def _norm_gradient(  # type: ignore[no-untyped-def]
    x, statistics, sums, grad_x, batch, pixels, channels, SUM: tl.constexpr, IMAGES: tl.constexpr, PIXELS: tl.constexpr
):
    """In place, from the gradient of a normalisation's output to that of its input."""
    channel, total = tl.program_id(0), batch * pixels
    image, pixel, inside = tile(tl.program_id(1), batch, pixels, IMAGES, PIXELS)
    at = (image * channels + channel) * pixels + pixel
    mean, inverse = tl.load(statistics + channel), tl.load(statistics + channels + channel)
    zhat = (tl.load(x + at, mask=inside, other=0.0).to(SUM) - mean) * inverse
    g = tl.load(grad_x + at, mask=inside, other=0.0).to(SUM)
    average, dot = tl.load(sums + 2 * channel) / total, tl.load(sums + 2 * channel + 1) / total
    tl.store(grad_x + at, inverse * (g - average - zhat * dot), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _depthwise_weight_gradient(  # type: ignore[no-untyped-def]
    x, statistics, gradient, partial, total, chunks, edges, channels, height, width, rows, columns,
    dilation, K: tl.constexpr, STRIDE: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """One filter and `chunks` blocks of pixels; the columns of a kernel's row side by side."""
    filter_, part = tl.program_id(0), tl.program_id(1)
    channel = filter_ % channels
    mean, inverse = _statistics(statistics, channel, channels, NORM, SUM)
    out = partial + (part * (edges * channels) + filter_) * (K * K)
    for ky in range(K):  # not unrolled: that takes all registers
        s0, s1, s2 = tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM)
        s3, s4 = tl.zeros([B], SUM), tl.zeros([B], SUM)
        for chunk in range(chunks):
            i = (part * chunks + chunk) * B + tl.arange(0, B)
            inside = i < total
            image, oy, ox = _place(i, rows, columns)
            at = ((image * (edges * channels) + filter_) * rows + oy) * columns + ox
            g = tl.load(gradient + at, mask=inside, other=0.0).to(SUM)
            iy = oy * STRIDE + (ky - K // 2) * dilation
            inside = inside & (iy >= 0) & (iy < height)
            row = ((image * channels + channel) * height + iy) * width
            ix = ox * STRIDE - (K // 2) * dilation
            s0 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
            ix += dilation
            s1 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
            ix += dilation
            s2 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
            if K > 3:
                ix += dilation
                s3 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
                ix += dilation
                s4 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < width), mean, inverse, NORM, SUM)
        tl.store(out + ky * K, tl.sum(s0, 0))
        tl.store(out + ky * K + 1, tl.sum(s1, 0))
        tl.store(out + ky * K + 2, tl.sum(s2, 0))
        if K > 3:
            tl.store(out + ky * K + 3, tl.sum(s3, 0))
            tl.store(out + ky * K + 4, tl.sum(s4, 0))
