"""The statistics of a batch, channel by channel, as batch normalisation takes them in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.parts.compiled import loops
from methods.parts.compiled.layout import flat, lanes, summed


def batch_statistics(norm: nn.BatchNorm2d, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and one over the standard deviation, (channels,) each; running statistics as `norm.forward` keeps them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    dtype, channels = norm.running_mean.dtype, z.shape[1]
    pixels = z.numel() // channels
    values = flat(z)
    mean = summed(loops.add_sums, channels, dtype, values) / pixels
    variance = summed(loops.add_squares, channels, dtype, values, lanes(mean)) / pixels
    if norm.track_running_stats:
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (pixels / (pixels - 1)), norm.momentum)
    return mean, torch.rsqrt(variance + norm.eps)
