"""A hard constraint at discretisation: of what can be derived, the strongest found that costs no more than allowed.

While the derived architecture costs too much, one decision is forced to another of its options: the one that loses the
least strength for what it saves. Strength is the sum of the logarithms of the gates of all that is derived. This is the
greedy way through a knapsack with one item of each decision; it needs nothing of the cost but its discrete value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from methods.architecture import Architecture
from methods.parts.costs.protocol import Cost
from methods.parts.gates import Gates
from methods.spaces.relaxation import Relaxation

Found = dict[str, Gates]


@dataclass(frozen=True)
class Kept:
    """Attributes:
    met: whether the architecture costs no more than allowed; if not, no single change made it cheaper.
    changes: decisions that were forced.
    """

    architecture: Architecture
    cost: float
    met: bool
    changes: int


def derive_within(relaxed: Relaxation, gates: Mapping[str, Gates], cost: Cost, at_most: float) -> Kept:
    """What the gates stand for, changed until it costs at most `at_most`."""
    present: Found = {kind: _on_host(each) for kind, each in gates.items()}
    first = present
    architecture = relaxed.derive(present)
    prices: dict[str, float] = {}  # most changes of a decision that has no part lead to the same architecture
    price, changes = cost.discrete(architecture), 0
    while price > at_most:
        best: tuple[tuple[float, float], Found, Architecture, float] | None = None
        strength = _strength(relaxed, first, architecture)
        for forced in _forced(relaxed, present, architecture):
            other = relaxed.derive(forced)
            if other.digest not in prices:
                prices[other.digest] = cost.discrete(other)
            asked = prices[other.digest]
            if (saved := price - asked) > 0:
                lost = strength - _strength(relaxed, first, other)
                rank = (max(lost, 0.0) / min(saved, price - at_most), asked)
                if best is None or rank < best[0]:
                    best = rank, forced, other, asked
        if best is None:
            return Kept(architecture, price, False, changes)
        _, present, architecture, price = best
        changes += 1
    return Kept(architecture, price, True, changes)


def _on_host(gates: Gates) -> Gates:
    return Gates(gates.options.detach().cpu().double(), gates.weights.detach().cpu().double())


def _forced(relaxed: Relaxation, gates: Found, architecture: Architecture) -> Iterator[Found]:
    """The gates with another option forced in one of the decisions that the architecture has: no option of it that is
    stronger than the other one is left."""
    for kind, rows in relaxed.chosen(architecture).items():
        for row, standing in enumerate(rows):
            options = gates[kind].options[row]
            for column in columns_of(relaxed):
                if options[column] > 0 and not standing[column]:
                    left = gates[kind].options.clone()
                    left[row] = options.where(options <= options[column], torch.zeros(()).double())
                    left[row, standing > 0] = 0.0
                    left[row, column] = options[column]
                    yield {**gates, kind: Gates(left, gates[kind].weights)}


def _strength(relaxed: Relaxation, gates: Found, architecture: Architecture) -> float:
    total = 0.0
    for kind, rows in relaxed.chosen(architecture).items():
        logarithms = (gates[kind].options * gates[kind].weights[:, None]).clamp_min(1e-300).log()
        total += (rows * logarithms)[:, columns_of(relaxed)].sum().item()
    return total


def columns_of(relaxed: Relaxation) -> list[int]:
    """Of what can stand in a derived architecture."""
    return [column for column, name in enumerate(relaxed.topology.operations) if name in relaxed.candidates]
