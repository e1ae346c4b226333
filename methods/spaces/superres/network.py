"""The distillation backbone (RFDN, Liu et al., ECCV workshops 2020, as DLSR has it, arXiv 2105.03939, figure 2).

A 3x3 convolution, six blocks, their fusion, a 3x3 convolution over a long skip, sub-pixel upsampling. In each block
three refinements with a residual, of which half as many channels are distilled before each, all fused and weighed by
enhanced spatial attention. There is no normalisation. Images are in [0, 1]; inside they are in grey levels, as
released. The published networks give the whole image; with `residual` (ours, for short trainings) one gives what is to
be added to the bicubic interpolation, at first nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.parts.pictures import GREY_LEVELS, resize
from methods.spaces.superres.layout import BLOCKS, FIRST, REFINEMENTS, kernel_of, upscale

SLOPE = 0.05
"""Of the leaky rectifiers."""


def operation(name: str, channels: int) -> nn.Module:
    """A candidate: convolutions without biases; separable and dilated ones begin with a rectifier."""
    kind, kernel = kernel_of(name)
    if kind == "conv":
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
    dilation = 2 if kind == "dil_conv" else 1
    depthwise = [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, 1, dilation * (kernel // 2), dilation, channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
    ]
    if kind == "sep_conv":
        depthwise += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
        ]
    return nn.Sequential(*depthwise)


class SpatialAttention(nn.Module):
    """Enhanced spatial attention (RFDN, section 3.3): a mask from a quarter of the channels at a sixth of the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.reduce, self.beside = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, inner, 1)
        self.stride = nn.Conv2d(inner, inner, 3, 2)
        self.pooled = nn.ModuleList([nn.Conv2d(inner, inner, 3, padding=1) for _ in range(3)])
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        wide = F.max_pool2d(self.stride(reduced), 7, 3)
        for number, convolution in enumerate(self.pooled):
            wide = convolution(wide)
            wide = F.relu(wide) if number + 1 < len(self.pooled) else wide
        wide = F.interpolate(wide, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.expand(wide + self.beside(reduced)))


class Block(nn.Module):
    """Residual feature distillation; `make` gives the layer of a refinement."""

    def __init__(self, channels: int, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        half = channels // 2
        self.distil = nn.ModuleList([nn.Conv2d(channels, half, 1) for _ in range(REFINEMENTS)])
        self.refine = nn.ModuleList([make(number) for number in range(REFINEMENTS)])
        self.last = nn.Conv2d(channels, half, 3, padding=1)
        self.fuse, self.attention = nn.Conv2d(half * (REFINEMENTS + 1), channels, 1), SpatialAttention(channels)

    def forward(self, x: Tensor, *weights: Tensor) -> Tensor:
        """
        Args:
            weights: of the candidates of each refinement, where these are mixed.
        """
        distilled = []
        for number in range(REFINEMENTS):
            distilled.append(F.leaky_relu(self.distil[number](x), SLOPE))
            x = F.leaky_relu(self.refine[number](x, *(each[number] for each in weights)) + x, SLOPE)
        distilled.append(F.leaky_relu(self.last(x), SLOPE))
        return self.attention(self.fuse(torch.cat(distilled, 1)))


class Backbone(nn.Module):
    """All but what is chosen.

    Args:
        outputs: values for each pixel that is read: channels times the square of the factor.
        read: how many earlier blocks each of those that choose reads.
        make: the layer of a refinement.
        residual: over bicubic interpolation.
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        outputs: int,
        read: Sequence[int],
        make: Callable[[int], nn.Module],
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList([Block(channels, make) for _ in range(BLOCKS)])
        self.joins = nn.ModuleList([nn.Conv2d(count * channels, channels, 1) for count in read])
        self.fuse = nn.Conv2d(BLOCKS * channels, channels, 1)
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = nn.Conv2d(channels, outputs, 3, padding=1)
        self.shuffle = nn.PixelShuffle(upscale(outputs, in_channels))
        self.residual = residual
        if residual:
            nn.init.zeros_(self.upsample.weight)
            nn.init.zeros_(cast(Tensor, self.upsample.bias))

    def through(self, images: Tensor, joined: Callable[[int, list[Tensor]], list[Tensor]], *weights: Tensor) -> Tensor:
        """Images (batch, channels, h, w) to (batch, channels, factor * h, factor * w).

        Args:
            joined: (number of a choosing block from 0, what the blocks before it gave) -> what it reads.
        """
        first = x = self.head(images * GREY_LEVELS)
        made: list[Tensor] = []
        for number, block in enumerate(self.blocks, start=1):
            if number >= FIRST:
                x = F.leaky_relu(self.joins[number - FIRST](torch.cat(joined(number - FIRST, made), 1)), SLOPE)
            x = block(x, *weights)
            made.append(x)
        fused = F.leaky_relu(self.fuse(torch.cat(made, 1)), SLOPE)
        made_larger = self.shuffle(self.upsample(self.smooth(fused) + first)) / GREY_LEVELS
        return made_larger + resize(images, *made_larger.shape[-2:]) if self.residual else made_larger


class DistillationNetwork(Backbone):
    """With an operation for each refinement and two inputs for each block that chooses."""

    def __init__(
        self,
        operations: Sequence[str],
        inputs: Sequence[tuple[int, int]],
        channels: int,
        in_channels: int,
        outputs: int,
        residual: bool = False,
    ) -> None:
        layers = [partial(operation, name, channels) for name in operations]
        super().__init__(channels, in_channels, outputs, [2] * len(inputs), lambda number: layers[number](), residual)
        self.inputs = inputs

    def forward(self, images: Tensor) -> Tensor:
        return self.through(images, lambda number, made: [made[source - 1] for source in self.inputs[number]])
