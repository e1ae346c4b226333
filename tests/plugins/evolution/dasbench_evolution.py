"""Aging evolution (Real et al., AAAI 2019): mutate the best of a random tournament, let the oldest die."""

from collections import deque
from dataclasses import dataclass

import torch

from methods.architecture import Architecture
from methods.base import SamplingSearch, SearchContext
from methods.registry import register
from methods.spaces import get_space
from methods.spaces.operations import OPERATIONS


@dataclass(frozen=True)
class EvolutionOptions:
    samples: int = 30
    population: int = 10
    tournament: int = 3


@register("aging_evolution")
class AgingEvolution(SamplingSearch):
    """Evolves cells of the DARTS space by their validation accuracy after a short training."""

    Options = EvolutionOptions

    def __init__(self, options: EvolutionOptions, context: SearchContext) -> None:
        self.options, self.samples = options, options.samples
        self.generator = torch.Generator().manual_seed(context.seed)
        self.population: deque[tuple[float, Architecture]] = deque(maxlen=options.population)
        self.history: list[tuple[float, Architecture]] = []

    def ask(self) -> Architecture:
        if len(self.population) < self.options.population:
            return get_space("darts_cell").sample(self.generator)
        rivals = torch.randperm(len(self.population), generator=self.generator)[: self.options.tournament].tolist()
        return self.mutate(max((self.population[i] for i in rivals), key=lambda pair: pair[0])[1])

    def mutate(self, parent: Architecture) -> Architecture:
        """Give one random edge of one random cell another operation."""
        cells = {kind: [list(edge) for edge in parent.genotype[kind]["edges"]] for kind in ("normal", "reduce")}
        kind, edge, operation = (
            int(torch.randint(n, (), generator=self.generator)) for n in (2, 8, len(OPERATIONS) - 1)
        )
        cells[("normal", "reduce")[kind]][edge][0] = OPERATIONS[1 + operation]
        return Architecture("darts_cell", {k: {**parent.genotype[k], "edges": e} for k, e in cells.items()})

    def tell(self, architecture: Architecture, score: float) -> None:
        self.population.append((score, architecture))
        self.history.append((score, architecture))

    def architecture(self) -> Architecture:
        return max(self.history, key=lambda pair: pair[0])[1]
