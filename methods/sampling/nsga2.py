"""NSGA-II over a space's decisions: error against size (Deb et al., IEEE Trans. Evolutionary Computation 6(2), 2002).

Integers as genes, one a decision: binary tournaments, simulated binary crossover and polynomial mutation with their
results rounded, survival by rank and crowding distance; the algorithm is pymoo's. Minimised are the error that the
harness tells, in percent, and the decimal logarithm of what the network counts. The answer is the network with the
smallest error; its family is the front of all that were scored, of which rows select.

It is the network level of EG-NAS over the space `block_network` (Zhang et al., IEEE TNNLS 2023, arXiv 2103.12529), and
works in any space with decisions. Reconstructed from that paper's abstract, for the text was not read: what is ours is
NSGA-II where it says an evolutionary algorithm of several objectives, its operators, and the genes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.parts.costs.counts import Built
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions
from methods.sampling.evolution import Evolution
from methods.sampling.fronts import Individual, Objectives, front
from methods.spaces import NetworkSettings
from methods.spaces.decisions import Code, sample_code

TRIES = 1000
"""Draws for an individual of the first generation that is unlike the others."""


@dataclass(frozen=True)
class NSGA2Options(CodeSearchOptions):
    """Attributes:
    population: individuals of a generation; a search has `samples / population` of them.
    on: what is counted of the network that is retrained, and minimised.
    crossover_eta, mutation_eta: distribution indices; the larger, the nearer children are to their parents.
    """

    population: int = field(default=20, metadata=within("[4, 10000]"))
    on: Literal["params", "macs"] = "params"
    crossover_eta: float = field(default=3.0, metadata=within("(0, inf)"))
    mutation_eta: float = field(default=3.0, metadata=within("(0, inf)"))


@register(
    "nsga2",
    special="an evolved front of error against size, over any decisions; EG-NAS' network level (reconstructed)",
    paper="Deb et al., IEEE TEC 2002; Zhang et al., IEEE TNNLS 2023, arXiv 2103.12529",
    space="any",
)
class NSGA2(CodeSearch):
    """The next generation is bred when all of the present one are told.

    What is asked for before that is drawn uniformly: it can come into the front, and is no parent.

    Attributes:
        brood: codes of the present generation that are still to be proposed.
        places: of each proposal, in their order, its generation and its place there; None for one that is no parent.
        errors: of each proposal, in percent; None until it is told.
    """

    Options = NSGA2Options
    anytime = True

    def __init__(self, options: NSGA2Options, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        metric = context.task.metric
        if metric.unit != "%" or not metric.higher_is_better:
            raise MethodError(f"nsga2 minimises an error in percent, and the task is scored by its {metric.named}")
        settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
        settings = context.start.settings if context.start is not None else settings
        self.built = Built(context.num_classes, settings, context.image_size)
        self._refuse_uncountable(options.space)
        sizes = [len(decision.options) for decision in self.space.decisions()]
        self.evolution = Evolution(sizes, self._first(), options, context.seed)
        self.brood = deque(enumerate(self.evolution.generation))
        self.places: list[tuple[int, int] | None] = []
        self.errors: list[float | None] = []
        self.counted: dict[Code, int] = {}

    def _refuse_uncountable(self, name: str) -> None:
        try:
            self.built.counts(self.space.decode(sample_code(self.space, self.generator)))
        except ArchitectureError as error:
            raise MethodError(f"space is '{name}': its networks cannot be counted here ({error})") from None

    def _first(self) -> list[Code]:
        """The first generation: uniform draws, each once as far as there are so many."""
        found: dict[Code, None] = {}
        for _ in range(TRIES):
            if len(found) < self.options.population:
                found.setdefault(sample_code(self.space, self.generator))
        return list(found)

    def propose(self) -> Code:
        if not self.brood and self._told() and not self.evolution.exhausted:
            self.brood = deque(enumerate(self.evolution.breed(self._objectives())))
        if not self.brood:
            self.places.append(None)
            return sample_code(self.space, self.generator)
        place, code = self.brood.popleft()
        self.places.append((self.evolution.number, place))
        return code

    def _present(self) -> dict[int, int]:
        """Of the present generation, the proposals by their places in it."""
        number = self.evolution.number
        return {at[1]: n for n, at in enumerate(self.places) if at is not None and at[0] == number}

    def _told(self) -> bool:
        """Whether every individual of the present generation has its score."""
        return all(self.errors[n] is not None for n in self._present().values())

    def _objectives(self) -> list[tuple[float, float]]:
        present = self._present()
        individuals = [self._individual(present[place]) for place in sorted(present)]
        return [each.minimised for each in individuals]

    def _individual(self, number: int) -> Individual:
        """A proposal that was told."""
        error, at, code = self.errors[number], self.places[number], self.codes[number]
        assert error is not None
        architecture = self.history.asked[number]
        chosen = {d.name: d.options[option] for d, option in zip(self.space.decisions(), code, strict=True)}
        generation = None if at is None else at[0]
        return Individual(architecture.digest, number, generation, error, self.count(code, architecture), chosen)

    def count(self, code: Code, architecture: Architecture) -> int:
        """What its network counts, built as a retraining builds it."""
        if code not in self.counted:
            self.counted[code] = getattr(self.built.counts(architecture), self.options.on)
        return self.counted[code]

    def ask(self) -> Architecture:
        self.errors.append(None)
        return super().ask()

    def tell(self, architecture: Architecture, score: float) -> None:
        number = self.history.tell(architecture, score)
        self.errors[number] = 100.0 - score

    def learn(self, code: Code, score: float) -> None:
        """A generation is learned from at once (`propose`)."""

    def individuals(self) -> list[Individual]:
        """All that were told, in the order of their proposals; without those that a constraint refused, of which it was
        told less than nothing."""
        scored = (number for number, error in enumerate(self.errors) if error is not None and error <= 100.0)
        return [self._individual(number) for number in scored]

    def front(self) -> Sequence[Individual]:
        """Those of all that were told that none is better than, by rising size."""
        return front(self.individuals())

    def family(self) -> list[Architecture]:
        """The front, by rising size; each remembers its objectives."""
        told = ((each, self.history.asked[each.number]) for each in self.front())
        return [
            replace(member, provenance={**member.provenance, "valid_error": each.error, self.options.on: each.count})
            for each, member in told
        ]

    def architecture(self) -> Architecture:
        """The end of the front with the smallest error. Raises MethodError while a proposal has no score."""
        best = self.history.best()
        return best if len(self.history.asked) == 1 else self.history.asked[self.front()[-1].number]

    def objectives(self) -> dict[str, Any]:
        """Every evaluation, for a record (JSON values)."""
        return Objectives(self.options.on, self.individuals()).to_json()
