"""Statistics of a batch, channel by channel, and the running statistics of a normalisation.

Every program takes the mean and the sum of squared differences of one tile; tiles are merged by the formula of Chan,
Golub and LeVeque (1979), so that no large sums of squares are subtracted from each other.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from methods.parts.executors.kernels import launch
from methods.parts.executors.kernels.tiles import PIXELS, tile, tiles

BLOCK = 2048
FEW = 128
"""Tiles that are merged at once; where there are more, a kernel for the next power of two is compiled."""


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
    pixels = height * width
    parts = tiles(batch, pixels, BLOCK)
    dtype, sums = sum_type(z.dtype)
    partial = torch.empty(channels, parts, 3, device=z.device, dtype=dtype)
    sizes = batch, pixels, parts, channels
    launch(_statistics_partial, (channels, parts), z, partial, *sizes, SUM=sums, IMAGES=BLOCK // PIXELS, PIXELS=PIXELS)
    running = norm.running_mean, norm.running_var, norm.momentum, norm.eps, norm.track_running_stats
    merged = max(FEW, triton.next_power_of_2(parts))
    launch(_statistics_merge, (channels,), partial, out, *running, batch * pixels, parts, channels, sums, merged)


@triton.jit(do_not_specialize=["batch", "parts", "channels"])
def _statistics_partial(  # type: ignore[no-untyped-def]
    z, out, batch, pixels, parts, channels, SUM: tl.constexpr, IMAGES: tl.constexpr, PIXELS: tl.constexpr
):
    """Of every tile: number of values, mean, sum of squared differences."""
    channel, part = tl.program_id(0), tl.program_id(1)
    image, pixel, inside = tile(part, batch, pixels, IMAGES, PIXELS)
    value = tl.load(z + (image * channels + channel) * pixels + pixel, mask=inside, other=0.0).to(SUM)
    count = tl.sum(inside.to(SUM))
    mean = tl.sum(value) / count
    centred = tl.where(inside, value - mean, 0.0)
    at = out + (channel * parts + part) * 3
    tl.store(at, count)
    tl.store(at + 1, mean)
    tl.store(at + 2, tl.sum(centred * centred))


@triton.jit(do_not_specialize=["total", "parts", "channels"])
def _statistics_merge(  # type: ignore[no-untyped-def]
    partial, out, running_mean, running_var, MOMENTUM: tl.constexpr, EPS: tl.constexpr, TRACK: tl.constexpr, total,
    parts, channels, SUM: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    channel, part = tl.program_id(0), tl.arange(0, PARTS)
    inside = part < parts
    at = partial + (channel * parts + part) * 3
    count = tl.load(at, mask=inside, other=0.0)
    means, squares = tl.load(at + 1, mask=inside, other=0.0), tl.load(at + 2, mask=inside, other=0.0)
    pixels = tl.full([], 0, SUM) + total
    mean = tl.sum(means * count, 0) / pixels
    difference = means - mean
    square = tl.sum(squares + count * difference * difference, 0)
    variance = square / pixels
    tl.store(out + channel, mean)
    tl.store(out + channels + channel, 1.0 / tl.sqrt(variance + EPS))
    if TRACK:
        old_mean = tl.load(running_mean + channel).to(SUM)
        old_var = tl.load(running_var + channel).to(SUM)
        tl.store(running_mean + channel, old_mean + MOMENTUM * (mean - old_mean))
        tl.store(running_var + channel, old_var + MOMENTUM * (square / (pixels - 1.0) - old_var))
