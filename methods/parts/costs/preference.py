"""A cost in a sampling search: as a constraint, as a second objective, or both.

Under a constraint an architecture above the bound is not scored. The method is told that it is worse than all that
were, and the worse the farther above (the rules of feasibility of Deb, 2000, section 3), so that methods that climb
find their way back; it is no evaluation. As a second objective the cost changes the score that the method is told:

    sum         score - w (cost / r - 1)          w in percentage points
    log_ratio   score * (r / cost)^w              MnasNet's (Tan et al., CVPR 2019, equation 2)
    log10       score - w log10(cost / r)         AutoShrink's (arXiv 1911.09251, released code): w points a decade
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from methods.architecture import Architecture
from methods.parts.costs.protocol import Cost
from methods.spaces import get_space


def bound_of(cost: Cost, space: str, at_most: float | None, share: float | None) -> float | None:
    """The largest cost allowed: `at_most`, or a share of what the space's reference architecture costs."""
    return at_most if share is None else share * cost.discrete(get_space(space).reference())


class Indifferent:
    """No cost."""

    def refusal(self, architecture: Architecture) -> float | None:
        """What the method is told of an architecture that is not to be scored; None for one that is."""
        return None

    def told(self, architecture: Architecture, score: float) -> float:
        """What the method is told of a score in percent."""
        return score


@dataclass
class Preference(Indifferent):
    """Attributes:
    at_most: largest cost; None for no bound.
    rule, weight, reference: of the second objective; "none" for none.
    """

    cost: Cost
    at_most: float | None = None
    rule: Literal["sum", "log_ratio", "log10", "none"] = "none"
    weight: float = 0.1
    reference: float = 1.0
    known: dict[str, float] = field(default_factory=dict)

    def of(self, architecture: Architecture) -> float:
        """Its cost, asked once."""
        digest = architecture.digest
        if digest not in self.known:
            self.known[digest] = self.cost.discrete(architecture)
        return self.known[digest]

    def refusal(self, architecture: Architecture) -> float | None:
        if self.at_most is None or self.of(architecture) <= self.at_most:
            return None
        return -self.of(architecture) / self.at_most

    def told(self, architecture: Architecture, score: float) -> float:
        if self.rule == "none":
            return score
        ratio = self.of(architecture) / self.reference
        if self.rule == "log10":
            return score - self.weight * math.log10(ratio)
        return score - self.weight * (ratio - 1) if self.rule == "sum" else score * ratio**-self.weight
