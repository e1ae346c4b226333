"""1x3 and 3x1 convolutions in eight groups, then a pointwise one: GDAS' fixed reduction cell (Dong and Yang, CVPR
2019, figure 3 and released code)."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import convolved

GROUPS = 8


class GroupConv(nn.Sequential):
    """The 1x3 convolution has the horizontal stride, the 3x1 one the vertical."""

    def __init__(self, c_in: int, c_out: int, stride: int, affine: bool) -> None:
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, (1, 3), (1, stride), (0, 1), groups=GROUPS, bias=False),
            nn.Conv2d(c_in, c_in, (3, 1), (stride, 1), (1, 0), groups=GROUPS, bias=False),
            nn.BatchNorm2d(c_in, affine=affine),
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


@register_operation("group_conv", {"group_conv_3x1_1x3": 3}, multiple=8)
class GroupedConvolutions(Operation):
    def build(self, at: Place) -> nn.Module:
        return GroupConv(at.c_in, at.c_out, at.stride, at.affine)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        grouped = self.kernel * at.c_in * at.c_in // GROUPS
        return [Convolution(grouped, before, after), Convolution(grouped + at.c_in * at.c_out, after, after)]

    def normalised(self, at: Place) -> int:
        return at.c_in + at.c_out

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        """What is convolved in groups cannot lose a channel."""
        channels.fix(names.source)
        convolved(channels, path, 5, [], names.node)
