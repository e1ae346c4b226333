"""Depthwise-separable convolutions, each applied twice (Liu et al., ICLR 2019, released code)."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import convolved


class SepConv(nn.Sequential):
    """Depthwise-separable convolution applied twice; only the first application has the stride.

    Args:
        c_mid: channels between the two applications; `c_in` in DARTS.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool, c_mid: int) -> None:
        padding = kernel // 2
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, kernel, stride, padding, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_mid, 1, bias=False),
            nn.BatchNorm2d(c_mid, affine=affine),
            nn.ReLU(inplace=False),
            nn.Conv2d(c_mid, c_mid, kernel, 1, padding, groups=c_mid, bias=False),
            nn.Conv2d(c_mid, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


@register_operation("sep_conv", {"sep_conv_3x3": 3, "sep_conv_5x5": 5, "sep_conv_7x7": 7}, inner_width=True)
class SeparableConvolution(Operation):
    def build(self, at: Place) -> nn.Module:
        return SepConv(at.c_in, at.c_out, self.kernel, at.stride, at.affine, at.c_mid)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        depthwise, pointwise = self.kernel**2 * (at.c_in + at.c_mid), at.c_mid * (at.c_in + at.c_out)
        return [Convolution(depthwise + pointwise, after, after)]

    def normalised(self, at: Place) -> int:
        return at.c_mid + at.c_out

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        channels.add(names.mid, channels.filters(f"{path}.2"))
        channels.depthwise(f"{path}.1", names.source)
        convolved(channels, path, 2, [names.source], names.mid)
        channels.depthwise(f"{path}.5", names.mid)
        convolved(channels, path, 6, [names.mid], names.node)
