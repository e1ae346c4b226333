"""Regularized (aging) evolution (Real et al., AAAI 2019, arXiv 1802.01548, algorithm 1).

A population of the youngest P: each cycle draws S of them, with replacement, mutates the best and lets the oldest
die, good or bad. A mutation changes one decision, drawn uniformly (`methods.spaces.decisions.mutate`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import torch

from methods.base import SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions
from methods.spaces.decisions import Code, mutate, sample_code


@dataclass(frozen=True)
class RegularizedEvolutionOptions(CodeSearchOptions):
    """The defaults are those of NAS-Bench-201's released code, for budgets of some hundred evaluations.

    The paper has a population of 100 and a tournament of 25 for 20,000 evaluations.

    Attributes:
        population: P, the individuals alive.
        tournament: S, draws from the population for one parent.
    """

    population: int = field(default=10, metadata=within("[1, 100000]"))
    tournament: int = field(default=3, metadata=within("[1, 100000]"))


@register(
    "regularized_evolution",
    special="mutates the best of a random few; the oldest of the population dies, good or bad (aging)",
    paper="Real et al., AAAI 2019, arXiv 1802.01548",
    space="any",
)
class RegularizedEvolution(CodeSearch):
    """The first P proposals are uniform. A child joins the population when it is told, in that order."""

    Options = RegularizedEvolutionOptions
    anytime = True

    def __init__(self, options: RegularizedEvolutionOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        self.population: deque[tuple[Code, float]] = deque(maxlen=options.population)

    def propose(self) -> Code:
        if len(self.codes) < self.options.population or not self.population:
            return sample_code(self.space, self.generator)
        drawn = torch.randint(len(self.population), (self.options.tournament,), generator=self.generator).tolist()
        parent, _ = max((self.population[rival] for rival in drawn), key=lambda individual: individual[1])
        return mutate(self.space, parent, self.generator)

    def learn(self, code: Code, score: float) -> None:
        self.population.append((code, score))
