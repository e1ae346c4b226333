"""Layers that run with a prefix of their weights, and the masks of channels that stand for a choice of their number.

The input's channels say which prefix: a layer that is given k channels uses its first k. Running statistics of the
first k are updated in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from methods.parts import convolution
from methods.parts.convolution import StridedPointwise, strided_pointwise


@dataclass(frozen=True)
class Width:
    """Attributes:
    channels: that are computed.
    mask: (channels,), what each is multiplied with; None for nothing.
    """

    channels: int
    mask: Tensor | None = None

    def weigh(self, x: Tensor) -> Tensor:
        """Apply the mask to (batch, channels, h, w): after every normalisation and activation."""
        return x if self.mask is None else x * self.mask.to(x.dtype)[:, None, None]


def convolve(layer: nn.Conv2d, x: Tensor, channels: int) -> Tensor:
    """To so many channels, of a convolution that is dense."""
    weight = layer.weight[:channels, : x.shape[1]]
    if isinstance(layer, StridedPointwise):
        return strided_pointwise(x, weight)
    bias = None if layer.bias is None else layer.bias[:channels]
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation)


def depthwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Each channel by its own filter, with padding that keeps the size at stride 1."""
    return convolution.depthwise(x, layer.weight[: x.shape[1]], layer.stride[0])


def normalise(norm: _BatchNorm, x: Tensor) -> Tensor:
    """By the batch's own statistics in training mode, else by the running ones of these channels.

    As torch's layers, one that does not `track_running_stats` leaves them alone in training mode.
    """
    channels = x.shape[1]
    tracked = not norm.training or norm.track_running_stats
    mean, variance = (norm.running_mean, norm.running_var) if tracked else (None, None)
    assert norm.momentum is not None
    batch_norm = getattr(norm, "batch_norm", F.batch_norm)  # one over several processes has its own
    normalised: Tensor = batch_norm(
        x,
        None if mean is None else mean[:channels],
        None if variance is None else variance[:channels],
        None if norm.weight is None else norm.weight[:channels],
        None if norm.bias is None else norm.bias[:channels],
        norm.training,
        norm.momentum,
        norm.eps,
    )
    return normalised


def classify(layer: nn.Linear, x: Tensor) -> Tensor:
    """Of features (batch, channels)."""
    return F.linear(x, layer.weight[:, : x.shape[1]], layer.bias)
