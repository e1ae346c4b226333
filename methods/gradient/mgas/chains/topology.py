"""The places of a chain as cells of one edge and one node, and how they are divided into the stages of a search."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from methods.gradient.mgas.structure import Structure
from methods.spaces.chain.macro import MACROS, Macro, Place
from methods.spaces.chain.notation import CANDIDATES

BLOCKS = tuple(block.text for block in CANDIDATES)
STRUCTURE = Structure(candidates=BLOCKS, nodes=(0,), first_convolution=0, convolutions=len(BLOCKS))
"""Every candidate has filters, the channels inside, and weights."""


@dataclass(frozen=True)
class ChainPlan:
    """Depth and stages of the supernet of a chain.

    Attributes:
        space: one of `methods.spaces.chain.macro.MACROS`.
    """

    space: str

    @property
    def macro(self) -> Macro:
        return MACROS[self.space]

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(self.macro.places())

    @property
    def cells(self) -> int:
        return len(self.places)

    @property
    def stage_ends(self) -> tuple[int, int, int]:
        """Last place of each of three stages, which end where stages of the chain do.

        Of all such divisions the most even one, by the sum of squares; of equals the one with the shorter first stage.
        In `chain_s` and `chain_xs` these are the places of one resolution each.
        """
        total = self.cells
        ends = list(itertools.accumulate(stage.blocks for stage in self.macro.stages))[:-1]
        first, second = min(
            itertools.combinations(ends, 2),
            key=lambda pair: (pair[0] ** 2 + (pair[1] - pair[0]) ** 2 + (total - pair[1]) ** 2, pair),
        )
        return first - 1, second - 1, total - 1
