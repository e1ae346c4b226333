"""What computes nothing of its input: zeros (`none` of DARTS) and noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.spaces.operations.base import Place, WithoutFilters, register_operation


class Zero(nn.Module):
    """The `none` operation: zeros of the output's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class Noise(nn.Module):
    """Standard normal noise of the input's shape, in evaluation too (space S4 of Zela et al., ICLR 2020)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x[:, :, :: self.stride, :: self.stride])


@register_operation("none", {"none": 0}, keeps_width_at=(1, 2))
class NoOperation(WithoutFilters):
    def build(self, at: Place) -> nn.Module:
        return Zero(at.stride)


@register_operation("noise", {"noise": 0}, keeps_width_at=(1, 2))
class NoiseOperation(WithoutFilters):
    def build(self, at: Place) -> nn.Module:
        return Noise(at.stride)
