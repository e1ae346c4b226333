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

BLOCK = 512
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
        total, group = batch * out[0] * out[1], edges if edges <= EDGES_AT_ONCE else 1
        grid = channels, triton.cdiv(total, BLOCK), edges // group
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
        "E": len(weight) // channels,
        "C": channels,
        "H": height,
        "W": width,
        "HO": y.shape[2],
        "WO": y.shape[3],
        "K": weight.shape[-1],
        "STRIDE": stride,
        "DILATION": dilation,
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
        shared = {name: sizes[name] for name in ("C", "SUM", "B")}
        shared["P"] = x.shape[2] * x.shape[3]
        launch(_norm_gradient, (channels, parts), x, statistics, partial.sum(0), grad_x, total, **shared)
    return grad_x


def _weight_gradient(x: Tensor, weight: Tensor, statistics: Tensor, gradient: Tensor, sizes: dict[str, Any]) -> Tensor:
    total, filters = gradient.numel() // gradient.shape[1], len(weight)
    blocks = triton.cdiv(total, BLOCK)
    chunks = triton.cdiv(blocks, max(1, PROGRAMS // filters))
    parts = triton.cdiv(blocks, chunks)
    partial = torch.empty(parts, filters, sizes["K"] ** 2, device=x.device, dtype=statistics.dtype)
    launch(_depthwise_weight_gradient, (filters, parts), x, statistics, gradient, partial, total, chunks, **sizes)
    return partial.sum(0).view(weight.shape).to(weight.dtype)


@triton.jit
def _read(x, at, inside, mean, inverse, NORM: tl.constexpr, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    """What the convolution sees: rectified, zero outside the image."""
    value = tl.load(x + at, mask=inside, other=0.0).to(SUM)
    if NORM:
        value = (value - mean) * inverse
    return tl.where(inside & ~(value <= 0.0), value, 0.0)


@triton.jit
def _statistics(statistics, channel, C: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr):  # type: ignore[no-untyped-def]
    mean, inverse = tl.zeros([], SUM), tl.zeros([], SUM)
    if NORM:
        mean, inverse = tl.load(statistics + channel), tl.load(statistics + C + channel)
    return mean, inverse


@triton.jit
def _depthwise_forward(  # type: ignore[no-untyped-def]
    x, weight, statistics, y, total, GROUP: tl.constexpr, E: tl.constexpr, C: tl.constexpr, H: tl.constexpr,
    W: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr, K: tl.constexpr, STRIDE: tl.constexpr,
    DILATION: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """GROUP edges at once: what they share is read once."""
    channel, first = tl.program_id(0), tl.program_id(2) * GROUP
    i = tl.program_id(1) * B + tl.arange(0, B)
    inside = i < total
    image, oy, ox = i // (HO * WO), (i // WO) % HO, i % WO
    mean, inverse = _statistics(statistics, channel, C, NORM, SUM)
    w = weight + (first * C + channel) * (K * K)
    s0, s1, s2, s3 = tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM)
    for ky in tl.static_range(K):
        iy = oy * STRIDE + (ky - K // 2) * DILATION
        row_inside = inside & (iy >= 0) & (iy < H)
        row = ((image * C + channel) * H + iy) * W
        for kx in tl.static_range(K):
            ix = ox * STRIDE + (kx - K // 2) * DILATION
            value = _read(x, row + ix, row_inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
            s0 += value * tl.load(w + (ky * K + kx)).to(SUM)
            if GROUP > 1:
                s1 += value * tl.load(w + (C * K * K + ky * K + kx)).to(SUM)
            if GROUP > 2:
                s2 += value * tl.load(w + (2 * C * K * K + ky * K + kx)).to(SUM)
            if GROUP > 3:
                s3 += value * tl.load(w + (3 * C * K * K + ky * K + kx)).to(SUM)
    at = ((image * (E * C) + first * C + channel) * HO + oy) * WO + ox
    tl.store(y + at, s0, mask=inside)
    if GROUP > 1:
        tl.store(y + at + C * HO * WO, s1, mask=inside)
    if GROUP > 2:
        tl.store(y + at + 2 * C * HO * WO, s2, mask=inside)
    if GROUP > 3:
        tl.store(y + at + 3 * C * HO * WO, s3, mask=inside)


@triton.jit
def _depthwise_input_gradient(  # type: ignore[no-untyped-def]
    x, weight, statistics, gradient, grad_x, partial, total, E: tl.constexpr, C: tl.constexpr, H: tl.constexpr,
    W: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr, K: tl.constexpr, STRIDE: tl.constexpr,
    DILATION: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """To the input of the ReLU; with NORM also, of every block, the sums that the normalisation's gradient needs."""
    channel, part = tl.program_id(0), tl.program_id(1)
    i = part * B + tl.arange(0, B)
    inside = i < total
    image, iy, ix = i // (H * W), (i // W) % H, i % W
    mean, inverse = _statistics(statistics, channel, C, NORM, SUM)
    total_gradient = tl.zeros([B], SUM)
    for e in range(E):  # not unrolled: that takes all registers
        w = weight + (e * C + channel) * (K * K)
        for ky in tl.static_range(K):
            ty = iy - (ky - K // 2) * DILATION
            oy = ty // STRIDE
            row_inside = inside & (ty >= 0) & (oy < HO) & (oy * STRIDE == ty)
            row = ((image * (E * C) + e * C + channel) * HO + oy) * WO
            for kx in tl.static_range(K):
                tx = ix - (kx - K // 2) * DILATION
                ox = tx // STRIDE
                within = row_inside & (tx >= 0) & (ox < WO) & (ox * STRIDE == tx)
                g = tl.load(gradient + row + ox, mask=within, other=0.0).to(SUM)
                total_gradient += g * tl.load(w + (ky * K + kx)).to(SUM)
    at = ((image * C + channel) * H + iy) * W + ix
    value = tl.load(x + at, mask=inside, other=0.0).to(SUM)
    if NORM:
        value = (value - mean) * inverse
    total_gradient = tl.where(inside & (value > 0.0), total_gradient, 0.0)
    tl.store(grad_x + at, total_gradient, mask=inside)
    if NORM:
        out = partial + (part * C + channel) * 2
        tl.store(out, tl.sum(total_gradient, 0))
        tl.store(out + 1, tl.sum(total_gradient * value, 0))


@triton.jit
def _norm_gradient(  # type: ignore[no-untyped-def]
    x, statistics, sums, grad_x, total, C: tl.constexpr, P: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr
):
    """In place, from the gradient of a normalisation's output to that of its input."""
    channel, i = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    inside = i < total
    at = (i // P) * (C * P) + channel * P + i % P
    mean, inverse = tl.load(statistics + channel), tl.load(statistics + C + channel)
    zhat = (tl.load(x + at, mask=inside, other=0.0).to(SUM) - mean) * inverse
    g = tl.load(grad_x + at, mask=inside, other=0.0).to(SUM)
    average, dot = tl.load(sums + 2 * channel) / total, tl.load(sums + 2 * channel + 1) / total
    tl.store(grad_x + at, inverse * (g - average - zhat * dot), mask=inside)


@triton.jit
def _depthwise_weight_gradient(  # type: ignore[no-untyped-def]
    x, statistics, gradient, partial, total, CHUNKS: tl.constexpr, E: tl.constexpr, C: tl.constexpr, H: tl.constexpr,
    W: tl.constexpr, HO: tl.constexpr, WO: tl.constexpr, K: tl.constexpr, STRIDE: tl.constexpr,
    DILATION: tl.constexpr, NORM: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """One filter and CHUNKS blocks of pixels; the columns of a kernel's row side by side."""
    filter_, part = tl.program_id(0), tl.program_id(1)
    channel = filter_ % C
    mean, inverse = _statistics(statistics, channel, C, NORM, SUM)
    out = partial + (part * (E * C) + filter_) * (K * K)
    for ky in tl.static_range(K):
        s0, s1, s2 = tl.zeros([B], SUM), tl.zeros([B], SUM), tl.zeros([B], SUM)
        s3, s4 = tl.zeros([B], SUM), tl.zeros([B], SUM)
        for chunk in range(CHUNKS):
            i = (part * CHUNKS + chunk) * B + tl.arange(0, B)
            inside = i < total
            image, oy, ox = i // (HO * WO), (i // WO) % HO, i % WO
            g = tl.load(gradient + ((image * (E * C) + filter_) * HO + oy) * WO + ox, mask=inside, other=0.0).to(SUM)
            iy = oy * STRIDE + (ky - K // 2) * DILATION
            inside = inside & (iy >= 0) & (iy < H)
            row = ((image * C + channel) * H + iy) * W
            ix = ox * STRIDE - (K // 2) * DILATION
            s0 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
            ix += DILATION
            s1 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
            ix += DILATION
            s2 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
            if K > 3:
                ix += DILATION
                s3 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
                ix += DILATION
                s4 += g * _read(x, row + ix, inside & (ix >= 0) & (ix < W), mean, inverse, NORM, SUM)
        tl.store(out + ky * K, tl.sum(s0, 0))
        tl.store(out + ky * K + 1, tl.sum(s1, 0))
        tl.store(out + ky * K + 2, tl.sum(s2, 0))
        if K > 3:
            tl.store(out + ky * K + 3, tl.sum(s3, 0))
            tl.store(out + ky * K + 4, tl.sum(s4, 0))
