"""The candidate of a place: an inverted residual whose inner channels and single weights can go."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.gradient.mgas.layers import GatedNorm, MaskableConv, ScaledNorm
from methods.parts.convolution import depthwise
from methods.spaces.chain.blocks import ACTIVATIONS
from methods.spaces.chain.macro import Place
from methods.spaces.chain.network import ACTIVATION
from methods.spaces.chain.notation import Block


class PrunedBlock(nn.Module):
    """What a block adds at its place: `methods.spaces.chain.blocks.MBConv.transform` with gates and masks.

    The gate of an inner channel stands behind the depthwise convolution's normalisation. A channel that is off gives
    zero to the projection, so that the block computes the same without it.

    Args:
        inner: channels inside.
    """

    def __init__(self, block: Block, place: Place, inner: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.stride = place.stride
        self.activation = ACTIVATIONS[ACTIVATION]
        self.expand = MaskableConv((inner, place.c_in, 1, 1), generator)
        self.norm1 = ScaledNorm(inner)
        self.depthwise = MaskableConv((inner, 1, block.kernel, block.kernel), generator)
        self.norm2 = GatedNorm(inner)
        self.project = MaskableConv((place.c_out, inner, 1, 1), generator)
        self.norm3 = ScaledNorm(place.c_out)

    @property
    def convs(self) -> tuple[MaskableConv, MaskableConv, MaskableConv]:
        return self.expand, self.depthwise, self.project

    @property
    def inner(self) -> int:
        return self.norm2.channels

    def forward(self, x: Tensor, weights: Sequence[Tensor], gate: Tensor, coefficient: Tensor) -> Tensor:
        """(batch, c_in, h, w) to (batch, c_out, h / stride, w / stride).

        Args:
            weights: of the three convolutions in this step.
            gate: (inner,), gate times mask of each inner channel.
            coefficient: (), gate times mask of the whole block.
        """
        expand, spatial, project = weights
        inner = self.activation(self.norm1(F.conv2d(x, expand), (self.norm1.weight, self.norm1.bias)))
        inner = self.activation(self.norm2(depthwise(inner, spatial, self.stride), self.norm2.gated(gate)))
        return self.norm3(F.conv2d(inner, project), self.norm3.gated(coefficient))

    def effective_masks(self) -> tuple[Tensor, Tensor, Tensor]:
        """Committed masks of the three convolutions' weights (bool) that also follow the removed channels."""
        on = self.norm2.mask
        expand, spatial, project = (conv.mask for conv in self.convs)
        return expand & on[:, None, None, None], spatial & on[:, None, None, None], project & on[None, :, None, None]
