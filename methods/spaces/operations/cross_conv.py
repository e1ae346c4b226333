"""A 1xk convolution and a kx1 one: `conv_7x1_1x7` of NASNet's space (Zoph et al., CVPR 2018, section 3)."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import convolved


class CrossConv(nn.Sequential):
    """A 1xk convolution with the horizontal stride, then kx1 with the vertical one; one normalisation.

    Args:
        c_mid: channels between the two.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool, c_mid: int) -> None:
        padding = kernel // 2
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_mid, (1, kernel), (1, stride), (0, padding), bias=False),
            nn.Conv2d(c_mid, c_out, (kernel, 1), (stride, 1), (padding, 0), bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


@register_operation("cross_conv", {"conv_3x1_1x3": 3, "conv_5x1_1x5": 5, "conv_7x1_1x7": 7}, inner_width=True)
class CrossedConvolutions(Operation):
    def build(self, at: Place) -> nn.Module:
        return CrossConv(at.c_in, at.c_out, self.kernel, at.stride, at.affine, at.c_mid)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        first, second = self.kernel * at.c_in * at.c_mid, self.kernel * at.c_mid * at.c_out
        return [Convolution(first, before, after), Convolution(second, after, after)]

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        channels.add(names.mid, channels.filters(f"{path}.1"))
        channels.consume(f"{path}.1", [names.source])
        channels.produce(f"{path}.1", names.mid)
        convolved(channels, path, 2, [names.mid], names.node)
