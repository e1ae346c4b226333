"""Statistics of a batch, channel by channel, and the running statistics of a normalisation.

Every program takes the mean and the sum of squared differences of one block; blocks are merged by the formula of Chan,
Golub and LeVeque (1979), so that no large sums of squares are subtracted from each other.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from methods.parts.executors.kernels import launch

BLOCK = 2048


def sum_type(dtype: torch.dtype) -> tuple[torch.dtype, Any]:
    """In which type values of a type are summed: torch's and Triton's name."""
    return (torch.float64, tl.float64) if dtype == torch.float64 else (torch.float32, tl.float32)


def batch_statistics(z: Tensor, norm: nn.BatchNorm2d, out: Tensor) -> None:
    """Write mean and 1 / standard deviation of `z`, and update the running statistics as `norm` would.

    Args:
        z: (batch, channels, h, w), contiguous.
        out: (2, channels), contiguous.
    """
    batch, channels, height, width = z.shape
    total = batch * height * width
    parts = triton.cdiv(total, BLOCK)
    dtype, sums = sum_type(z.dtype)
    partial = torch.empty(channels, parts, 2, device=z.device, dtype=dtype)
    pixels = height * width
    launch(_statistics_partial, (channels, parts), z, partial, total, parts, channels, pixels, sums, BLOCK)
    running = norm.running_mean, norm.running_var, norm.momentum, norm.eps, norm.track_running_stats
    sizes = total, parts, channels, sums, BLOCK, triton.next_power_of_2(parts)
    launch(_statistics_merge, (channels,), partial, out, *running, *sizes)


@triton.jit
def _statistics_partial(z, out, total, parts, C: tl.constexpr, P: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr):  # type: ignore[no-untyped-def]
    channel, part = tl.program_id(0), tl.program_id(1)
    i = part * B + tl.arange(0, B)
    inside = i < total
    value = tl.load(z + (i // P) * (C * P) + channel * P + i % P, mask=inside, other=0.0).to(SUM)
    mean = tl.sum(value, 0) / tl.minimum(total - part * B, B).to(SUM)
    centred = tl.where(inside, value - mean, 0.0)
    at = out + (channel * parts + part) * 2
    tl.store(at, mean)
    tl.store(at + 1, tl.sum(centred * centred, 0))


@triton.jit
def _statistics_merge(  # type: ignore[no-untyped-def]
    partial, out, running_mean, running_var, MOMENTUM: tl.constexpr, EPS: tl.constexpr, TRACK: tl.constexpr, total,
    parts, C: tl.constexpr, SUM: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    channel, part = tl.program_id(0), tl.arange(0, PARTS)
    inside = part < parts
    at = partial + (channel * parts + part) * 2
    means, squares = tl.load(at, mask=inside, other=0.0), tl.load(at + 1, mask=inside, other=0.0)
    count = tl.where(inside, tl.minimum(total - part * B, B), 0).to(SUM)
    pixels = tl.sum(count, 0)
    mean = tl.sum(means * count, 0) / pixels
    difference = means - mean
    square = tl.sum(squares + count * difference * difference, 0)
    variance = square / pixels
    tl.store(out + channel, mean)
    tl.store(out + C + channel, 1.0 / tl.sqrt(variance + EPS))
    if TRACK:
        old_mean = tl.load(running_mean + channel).to(SUM)
        old_var = tl.load(running_var + channel).to(SUM)
        tl.store(running_mean + channel, old_mean + MOMENTUM * (mean - old_mean))
        tl.store(running_var + channel, old_var + MOMENTUM * (square / (pixels - 1.0) - old_var))
