"""A depthwise-separable convolution applied once (Howard et al., arXiv 1704.04861), and cells that have it."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces import register_space
from methods.spaces.cell.general import GeneralCellSpace
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import convolved


@register_operation("once_conv", {"once_conv_3x3": 3, "once_conv_5x5": 5})
class SeparableOnce(Operation):
    """ReLU, depthwise, pointwise, batch normalisation."""

    def build(self, at: Place) -> nn.Module:
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(at.c_in, at.c_in, self.kernel, at.stride, self.kernel // 2, groups=at.c_in, bias=False),
            nn.Conv2d(at.c_in, at.c_out, 1, bias=False),
            nn.BatchNorm2d(at.c_out, affine=at.affine),
        )

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        return [Convolution(self.kernel**2 * at.c_in + at.c_in * at.c_out, after, after)]

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        channels.depthwise(f"{path}.1", names.source)
        convolved(channels, path, 2, [names.source], names.node)


CANDIDATES = ("skip_connect", "max_pool_3x3", "once_conv_3x3", "once_conv_5x5")

register_space("once_cells", "cells of three nodes with separable convolutions", nodes=3, operations=CANDIDATES)(
    GeneralCellSpace
)
