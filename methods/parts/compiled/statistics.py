"""The statistics of a batch, channel by channel, as batch normalisation takes them in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from methods.parts.compiled.layout import lanes, summed
from methods.parts.compiled.loops.compiling import Array
from methods.parts.compiled.loops.moments import add_moments


def batch_statistics(norm: nn.BatchNorm2d, z: Array) -> tuple[Array, Array]:
    """Mean and one over the standard deviation, (channels,) each; running statistics as `norm.forward` keeps them.

    Sums are taken, in one pass, of the differences to the first pixel: a mean far from zero costs no digits, a first
    pixel that is n standard deviations off those of n squared.

    Args:
        z: flat, pixel by pixel.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    channels = norm.num_features
    pixels, pivot = z.size // channels, z[:channels].copy()
    tile = lanes(pivot)
    sums, squares = np.zeros((2, tile.size), z.dtype)
    add_moments(z, tile, sums, squares)
    moved = summed(sums, channels) / pixels
    mean, variance = pivot + moved, np.maximum(summed(squares, channels) / pixels - moved * moved, 0)
    if norm.track_running_stats:
        norm.running_mean.lerp_(torch.from_numpy(mean), norm.momentum)
        norm.running_var.lerp_(torch.from_numpy(variance * (pixels / (pixels - 1))), norm.momentum)
    return mean, 1 / np.sqrt(variance + z.dtype.type(norm.eps))
