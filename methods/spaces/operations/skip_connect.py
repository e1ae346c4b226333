"""The identity; with stride 2 a factorised reduction (Liu et al., ICLR 2019, released code)."""

from __future__ import annotations

from torch import nn

from methods.parts.counts import Convolution
from methods.spaces.channels import ChannelMap
from methods.spaces.operations.base import Names, Operation, Place, register_operation
from methods.spaces.operations.projections import FactorizedReduce, project


@register_operation("skip_connect", {"skip_connect": 0}, keeps_width_at=(1,))
class SkipConnection(Operation):
    def build(self, at: Place) -> nn.Module:
        return nn.Identity() if at.stride == 1 else FactorizedReduce(at.c_in, at.c_out, at.affine, at.c_first)

    def convolutions(self, at: Place, before: int, after: int) -> list[Convolution]:
        return [Convolution(at.c_in * at.c_out, after, after)] if at.stride == 2 else []

    def couple(self, channels: ChannelMap, path: str, names: Names) -> None:
        if isinstance(channels.network.get_submodule(path), nn.Identity):
            channels.couple(names.source, names.node)
        else:
            project(channels, path, [names.source], names.node)
