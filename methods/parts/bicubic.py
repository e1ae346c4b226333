"""Bicubic interpolation as a network without parameters: the line that super-resolution has to beat."""

from __future__ import annotations

from torch import Tensor, nn

from methods.parts.pictures import resize


class Bicubic(nn.Module):
    """Images (batch, channels, h, w) to (batch, channels, scale * h, scale * w)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        return resize(images, images.shape[-2] * self.scale, images.shape[-1] * self.scale)
