"""Pooling. Whether a normalisation follows is a convention of the network (`methods.spaces.cell.conventions`)."""

from __future__ import annotations

from torch import nn

from methods.parts import pooling
from methods.spaces.operations.base import Place, WithoutFilters, register_operation


class Pool(WithoutFilters):
    def build(self, at: Place) -> nn.Module:
        module = self.pool(at.stride)
        return nn.Sequential(module, nn.BatchNorm2d(at.c_out, affine=at.affine)) if at.pool_norm else module

    def pool(self, stride: int) -> nn.Module:
        """Keeps the size at stride 1."""
        return pooling.MaxPool(self.kernel, stride)

    def normalised(self, at: Place) -> int:
        return at.c_out


@register_operation(
    "max_pool", {"max_pool_3x3": 3, "max_pool_5x5": 5, "max_pool_7x7": 7}, keeps_width_at=(1, 2), pool=True
)
class MaxPool(Pool):
    """The largest of the pixels inside the image."""


@register_operation(
    "avg_pool", {"avg_pool_3x3": 3, "avg_pool_5x5": 5, "avg_pool_7x7": 7}, keeps_width_at=(1, 2), pool=True
)
class AveragePool(Pool):
    """The average counts only pixels inside the image."""

    def pool(self, stride: int) -> nn.Module:
        return pooling.AveragePool(self.kernel, stride)
