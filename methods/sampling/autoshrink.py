"""AutoShrink: greedy removal of edges from a complete graph, one at a time (AAAI 2020, arXiv 1911.09251).

A round draws up to `children` of the edges that are left, scores the graph without each of them, and removes for good
the edge whose removal scored best, with all that then lies on no way from input to output. No removal may cut the
output off. The trajectory is kept, and the answer is the best graph of all (released code). Ours: the graph that is
complete is not scored, as there; where nothing can be removed any more and the budget is not spent, it starts again
from another complete graph.

What a graph costs is the row's `cost`: as released, `{on: macs, objective: log10, weight: 10, reference: 1.0e+6}`, a
tenth of accuracy for every power of ten in MACs.

In another space a removal is an item less of a subset (an operation of `dense_cell`), or, where nothing decides a
subset, a decision that goes back to its neutral option. The other decisions are drawn at the start and stay: half of a
graph's nodes are separable convolutions, half are 1x1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from methods.base import SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions
from methods.spaces.decisions import Code, Decision, SubsetDecision, sample_code


@dataclass(frozen=True)
class AutoShrinkOptions(CodeSearchOptions):
    """Attributes:
    children: removals that are scored in a round, at most; ten as released.
    """

    children: int = field(default=10, metadata=within("[1, 100000]"))


@runtime_checkable
class Trims(Protocol):
    """A space whose codes can have parts that carry nothing."""

    def trimmed(self, code: Code) -> Code | None:
        """Without these parts; None for a code of which nothing is left."""


@register(
    "autoshrink",
    special="removes one edge of a complete graph at a time, the one without which it scores best",
    paper="AutoShrink, AAAI 2020, arXiv 1911.09251",
    space="any",
)
class AutoShrink(CodeSearch):
    """Asked for more than a round holds before that is told, it proposes random networks, which decide nothing.

    Attributes:
        place: the graph as it is now.
        round: the children of the present round, and their scores as far as they are told.
        trajectories: of every start, the units left and the score of each graph that was kept.
    """

    Options = AutoShrinkOptions
    anytime = True

    def __init__(self, options: AutoShrinkOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        self.queue: deque[Code] = deque()
        self.round: dict[Code, float | None] = {}
        self.trajectories: list[list[tuple[int, float]]] = []
        self.start()

    def propose(self) -> Code:
        if not self.queue and None not in self.round.values():
            self.remove()
        return self.queue.popleft() if self.queue else sample_code(self.space, self.generator)

    def start(self) -> None:
        """Everything is there."""
        self.place = full_code(self.space.decisions(), sample_code(self.space, self.generator), self.generator)
        self.trajectories.append([])
        self.begin()

    def begin(self) -> None:
        """Draw the children of a round; where there are none, there is nothing to remove."""
        removals = self.removals(self.place)
        order = torch.randperm(len(removals), generator=self.generator)[: self.options.children].tolist()
        self.round = dict.fromkeys(removals[number] for number in order)
        self.queue.extend(self.round)

    def remove(self) -> None:
        """With the scores of a round: keep its best child, of equals the one drawn first; start again at the end."""
        scores = {code: score for code, score in self.round.items() if score is not None}
        if scores:
            self.place = max(scores, key=scores.__getitem__)
            self.trajectories[-1].append((self.units(self.place), scores[self.place]))
            self.begin()
        if not self.queue:
            self.start()

    def removals(self, code: Code) -> list[Code]:
        """What can be left after one removal, each once, in the order of the decisions."""
        found: dict[Code, None] = {}
        for place, decision in enumerate(self.space.decisions()):
            for option in smaller(decision, code[place], self.subsets):
                without: Code | None = (*code[:place], option, *code[place + 1 :])
                if isinstance(self.space, Trims) and without is not None:
                    without = self.space.trimmed(without)
                if without is not None:
                    found[without] = None
        return list(found)

    @property
    def subsets(self) -> bool:
        return any(isinstance(decision, SubsetDecision) for decision in self.space.decisions())

    def units(self, code: Code) -> int:
        """What could still be removed: items of subsets, or decisions that are not neutral."""
        return sum(
            len(decision.options[option]) if isinstance(decision, SubsetDecision) else option != decision.neutral
            for decision, option in zip(self.space.decisions(), code, strict=True)
            if isinstance(decision, SubsetDecision) or not self.subsets
        )

    def learn(self, code: Code, score: float) -> None:
        if code in self.round:
            self.round[code] = score

    def findings(self) -> dict[str, Any]:
        """The trajectory of the first start."""
        first = self.trajectories[0]
        return {
            "units left, round by round": [units for units, _ in first],
            "score, round by round": [score for _, score in first],
        }


def smaller(decision: Decision, option: int, subsets: bool) -> list[int]:
    """The options that an option becomes when something is removed."""
    if isinstance(decision, SubsetDecision):
        here = len(decision.options[option])
        return [other for other in decision.near(option) if len(decision.options[other]) < here]
    return [] if subsets or option == decision.neutral else [decision.neutral]


def full_code(decisions: tuple[Decision, ...], drawn: Code, generator: torch.Generator) -> Code:
    """Where subsets are decided all items, and of decisions with the same two options half have each; else `drawn`."""
    if not any(isinstance(decision, SubsetDecision) for decision in decisions):
        return drawn
    pairs = [place for place, decision in enumerate(decisions) if len(decision.options) == 2]
    order = torch.randperm(len(pairs), generator=generator).tolist()
    half = {pairs[place]: number % 2 for number, place in enumerate(order)}
    return tuple(
        len(decision.options) - 1 if isinstance(decision, SubsetDecision) else half.get(place, option)
        for place, (decision, option) in enumerate(zip(decisions, drawn, strict=True))
    )
