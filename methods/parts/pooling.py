"""Pools: those of the cells' operations, and of a whole image.

An operation's has a padding that keeps the size at stride 1, and counts only what is inside the image. On a CPU,
torch's pools are slow in channels-last memory where channels are few: those of 3x3 and stride 1 have compiled loops
(`methods.parts.compiled`), for what is trained.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts import compiled


def max_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """The largest of the pixels inside the image; (batch, channels, h, w), kernel odd."""
    if _looped(x, kernel, stride):
        from methods.parts.compiled.pools import max_pool_3x3

        return max_pool_3x3(x)
    return F.max_pool2d(x, kernel, stride, kernel // 2)


def average_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """The mean of the pixels inside the image; (batch, channels, h, w), kernel odd."""
    if _looped(x, kernel, stride):
        from methods.parts.compiled.pools import average_pool_3x3

        return average_pool_3x3(x)
    return F.avg_pool2d(x, kernel, stride, kernel // 2, count_include_pad=False)


def mean_of_pixels(x: Tensor) -> Tensor:
    """(batch, channels, h, w) -> (batch, channels); on a CPU the gradient lies in channels-last memory, as x does."""
    return x.permute(0, 2, 3, 1).mean((1, 2)) if x.device.type == "cpu" else F.adaptive_avg_pool2d(x, 1).flatten(1)


def _looped(x: Tensor, kernel: int, stride: int) -> bool:
    return (kernel, stride) == (3, 1) and x.requires_grad and compiled.usable(x)


class MaxPool(nn.MaxPool2d):
    """`max_pool` as a layer."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__(kernel, stride, kernel // 2)
        self.sizes = kernel, stride

    def forward(self, input: Tensor) -> Tensor:
        return max_pool(input, *self.sizes)


class AveragePool(nn.AvgPool2d):
    """`average_pool` as a layer."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__(kernel, stride, kernel // 2, count_include_pad=False)
        self.sizes = kernel, stride

    def forward(self, input: Tensor) -> Tensor:
        return average_pool(input, *self.sizes)
