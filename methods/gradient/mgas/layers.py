"""Layers with units that can go: convolutions with maskable weights, and gated normalisations.

The modules own parameters and committed masks. Which weights and gates are on in a step is decided for a whole cell at
once (`methods.gradient.mgas.cell`) and handed to `forward`, so that no operation decides filter by filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Affine = tuple[Tensor, Tensor]
"""Scale and shift of a normalisation, (channels,) each, gate included."""


def new_weight(shape: tuple[int, ...], generator: torch.Generator | None = None) -> nn.Parameter:
    """Kaiming-uniform with a = sqrt(5), torch's default for convolutions: U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    bound = 1.0 / math.sqrt(math.prod(shape[1:]))
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


class ScaledNorm(nn.Module):
    """Batch normalisation whose scale and shift are given anew in every step: what multiplies its output is in them.

    (scale x + shift) g = (scale g) x + (shift g), with a gate g for every channel.

    Attributes:
        batch_norm: `torch.nn.functional.batch_norm`, or what stands in for it when several processes share a batch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batch_norm: Callable[..., Tensor] = F.batch_norm
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @property
    def channels(self) -> int:
        return len(self.weight)

    def gated(self, gate: Tensor) -> Affine:
        """Scale and shift behind which a gate stands: one for all channels, or (channels,)."""
        return self.weight * gate, self.bias * gate

    def forward(self, x: Tensor, affine: Affine) -> Tensor:
        return self.batch_norm(x, self.running_mean, self.running_var, *affine, training=self.training)


class GatedNorm(ScaledNorm):
    """One whose output channels pass a filter gate sigmoid(kappa) * mask."""

    mask: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.kappa = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mask", torch.ones(channels, dtype=torch.bool))


class MaskableConv(nn.Module):
    """Weights of a convolution without bias, and the committed mask of every single weight."""

    mask: Tensor

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator | None) -> None:
        super().__init__()
        self.weight = new_weight(shape, generator)
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool))
