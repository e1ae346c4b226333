"""Several constraints on a network at once, and the product of penalties that a search is rewarded by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.parts.costs.counts import UNITS, Built, counted
from methods.parts.costs.protocol import Cost
from methods.spaces import NetworkSettings


@dataclass
class Constraints:
    """Attributes:
    most, least: bounds by the name of a cost (`methods.parts.costs.counts`).
    exponent: of the penalty.
    """

    costs: Mapping[str, Cost]
    most: Mapping[str, float]
    least: Mapping[str, float]
    exponent: float
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    def values(self, architecture: Architecture) -> dict[str, float]:
        """What a network costs, counted once."""
        digest = architecture.digest
        if digest not in self.known:
            self.known[digest] = {name: cost.discrete(architecture) for name, cost in self.costs.items()}
        return self.known[digest]

    def ratios(self, architecture: Architecture) -> list[float]:
        """For each bound, how much of it there is where it is broken: below one; one where it is kept."""
        found = self.values(architecture)
        above = [min(1.0, bound / found[name]) for name, bound in self.most.items()]
        return above + [min(1.0, found[name] / bound) for name, bound in self.least.items()]

    def kept(self, architecture: Architecture) -> bool:
        return all(ratio == 1.0 for ratio in self.ratios(architecture))

    def penalty(self, architecture: Architecture) -> float:
        """The product of (bound / value)^exponent over the broken ones, (value / bound)^exponent where the bound is a
        least; 1 where all are kept."""
        product = 1.0
        for ratio in self.ratios(architecture):
            product *= ratio**self.exponent
        return product


def constraints(
    most: Mapping[str, float], least: Mapping[str, float], exponent: float, context: SearchContext
) -> Constraints:
    """Counted on the networks of a space at their own size, or 36 channels and 20 cells where that is the harness's."""
    built = Built(
        context.num_classes, NetworkSettings(stem=context.stem, in_channels=context.in_channels), context.image_size
    )
    return Constraints({name: counted(name, built) for name in {**most, **least}}, most, least, exponent)


COUNTS = tuple(name for name in UNITS if name != "bytes")
"""What can be bounded."""
