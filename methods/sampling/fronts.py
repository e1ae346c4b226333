"""What a search with two objectives found: its individuals, their front, and how much the front dominates.

This needs no torch: reports read it, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasObjectives(Protocol):
    """A sampling search with two objectives."""

    def objectives(self) -> dict[str, Any]:
        """`Objectives.to_json` of all that was told."""


@dataclass(frozen=True)
class Individual:
    """Attributes:
    number: of its proposal in the search, from 0.
    generation: from 0; None for one that is no parent.
    error: on validation images, in percent.
    count: of its network.
    chosen: the option of every decision, by its name (JSON values).
    """

    architecture: str
    number: int
    generation: int | None
    error: float
    count: int
    chosen: Mapping[str, Any]

    @property
    def minimised(self) -> tuple[float, float]:
        """Error in percent, and the decimal logarithm of the count."""
        return self.error, math.log10(self.count)


@dataclass(frozen=True)
class Objectives:
    """Every evaluation of a search, in order; `on` is what is counted."""

    on: str
    individuals: Sequence[Individual]

    def to_json(self) -> dict[str, Any]:
        return {"on": self.on, "individuals": [asdict(each) for each in self.individuals]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Objectives:
        """Raises KeyError or TypeError for something else."""
        return cls(document["on"], [Individual(**each) for each in document["individuals"]])

    def generations(self) -> list[list[Individual]]:
        """All that were evaluated until the end of each generation."""
        last = max((each.generation for each in self.individuals if each.generation is not None), default=-1)
        ends = [
            max(each.number for each in self.individuals if each.generation == generation)
            for generation in range(last + 1)
        ]
        return [[each for each in self.individuals if each.number <= end] for end in ends]


def front(individuals: Sequence[Individual]) -> list[Individual]:
    """Those that no other one is better than in one objective and no worse in the other, by rising count.

    Of equals it is the one that was proposed first.
    """
    found: list[Individual] = []
    for each in sorted(individuals, key=lambda one: (one.count, one.error, one.number)):
        if not found or each.error < found[-1].error:
            found.append(each)
    return found


def hypervolume(individuals: Sequence[Individual], largest: float) -> float:
    """How much a front dominates: error, as a share, times decades of the count, up to an error of 100 % and a count.

    It never falls when individuals are added (Zitzler and Thiele, IEEE TEC 1999).

    Args:
        largest: the count of the reference point; what is larger dominates nothing.
    """
    import numpy as np
    from pymoo.indicators.hv import HV

    if not individuals:
        return 0.0
    points = np.array([[each.error / 100, math.log10(each.count)] for each in individuals])
    return float(HV(ref_point=np.array([1.0, math.log10(largest)]))(points))
