"""Plain convolutions."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import ReLUConvBN, project


@register_operation("nor_conv", {"nor_conv_1x1": 1, "nor_conv_3x3": 3, "nor_conv_5x5": 5, "nor_conv_7x7": 7})
class PlainConvolution(Operation):
    def build(self, at: Place) -> nn.Module:
        return ReLUConvBN(at.c_in, at.c_out, at.affine, self.kernel, at.stride)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        return [Convolution(self.kernel**2 * at.c_in * at.c_out, after, after)]

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        project(channels, path, [names.source], names.node)
