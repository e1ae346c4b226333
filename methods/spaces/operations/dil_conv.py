"""Depthwise-separable convolutions with dilation 2, each applied once (Liu et al., ICLR 2019, released code)."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import convolved


class DilConv(nn.Sequential):
    """Depthwise convolution with dilation 2, then pointwise."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool) -> None:
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, kernel, stride, kernel - 1, dilation=2, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


@register_operation("dil_conv", {"dil_conv_3x3": 3, "dil_conv_5x5": 5, "dil_conv_7x7": 7})
class DilatedConvolution(Operation):
    def build(self, at: Place) -> nn.Module:
        return DilConv(at.c_in, at.c_out, self.kernel, at.stride, at.affine)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        return [Convolution(self.kernel**2 * at.c_in + at.c_in * at.c_out, after, after)]

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        channels.depthwise(f"{path}.1", names.source)
        convolved(channels, path, 2, [names.source], names.node)
