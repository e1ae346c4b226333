"""An identity that loses blocks of its image in training: DropBlock (Ghiasi, Lin and Le, NeurIPS 2018, algorithm 1).

Drawn from a seed that is set before the pass: run again, for the same seed, it drops the same. Evaluated, and at rate
zero, it is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropBlockIdentity(nn.Module):
    """Blocks are drawn for every image and channel; what is left is scaled to the same sum of the mask.

    Args:
        block: height and width of a block in pixels, cut to the image's.

    Attributes:
        rate: of the pixels, about how many are dropped.
        seed: of the next pass.
    """

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.rate, self.seed = block, 0.0, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = 1 - self._dropped(x)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))

    def _dropped(self, x: Tensor) -> Tensor:
        """1 where a block lies."""
        batch, channels, height, width = x.shape
        tall, wide = min(self.block, height), min(self.block, width)
        places = height - tall + 1, width - wide + 1
        probability = self.rate / (tall * wide) * (height * width) / (places[0] * places[1])
        generator = torch.Generator(x.device).manual_seed(self.seed)
        corners = torch.rand(batch, channels, *places, generator=generator, device=x.device) < probability
        padded = F.pad(corners.to(x.dtype), (wide - 1, wide - 1, tall - 1, tall - 1))
        return F.max_pool2d(padded, (tall, wide), stride=1)


def dropping(option: nn.Module, block: int) -> nn.Module:
    """A candidate, which drops blocks if it is an identity."""
    return DropBlockIdentity(block) if isinstance(option, nn.Identity) else option


def identities_of(network: nn.Module) -> list[DropBlockIdentity]:
    """In the order of the network."""
    return [module for module in network.modules() if isinstance(module, DropBlockIdentity)]


def set_rate(identities: Iterable[DropBlockIdentity], rate: float) -> None:
    for each in identities:
        each.rate = rate
