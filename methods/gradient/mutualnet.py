"""MutualNet (Yang et al., ECCV 2020): one set of weights for many widths and resolutions of the image.

The sandwich rule in which the smallest and the random networks each see the images at a random resolution, the largest
one at the highest; it learns from the labels, the others by KL from its softmax. Afterwards every width at every
resolution is scored with statistics of its own, and the query table says for a cost which pair to take. With one width
and one resolution it is ordinary training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from methods.domain import MethodError, within
from methods.gradient.slimmable import SlimmableOptions, SlimmableSearch
from methods.parts.samplers.sandwich import Sandwich
from methods.registry import register
from methods.spaces import get_space
from methods.spaces.width_space import WidthSpace


@dataclass(frozen=True)
class MutualNetOptions(SlimmableOptions):
    """Attributes:
    resolutions: in pixels of 32, among the space's; all of them where none is named.
    """

    resolutions: tuple[int, ...] = field(default=(), metadata=within("[1, 32]"))

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.resolutions) - set(self.offered))
        if unknown or len(set(self.resolutions)) < len(self.resolutions):
            raise MethodError(
                f"resolutions={list(self.resolutions)}: {self.space} has {', '.join(map(str, self.offered))}, each once"
            )

    @property
    def offered(self) -> tuple[int, ...]:
        """Of the space."""
        space = get_space(self.space)
        assert isinstance(space, WidthSpace)
        return space.grid.resolutions


@register(
    "mutualnet",
    special="one set of weights for many widths and resolutions; a table of which to take for a cost",
    paper="Yang et al., ECCV 2020, MutualNet",
    space="chain_s_widths, chain_xs_widths, resnet_widths",
    watched="methods.gradient.watched:SLIMMABLE",
)
class MutualNet(SlimmableSearch):
    """See `MutualNetOptions`."""

    Options = MutualNetOptions

    def sampler(self, generator: torch.Generator) -> Sandwich:
        o = self.options
        return Sandwich(self.supernet.choices, generator, o.drawn, o.least, resolutions=o.resolutions or o.offered)
