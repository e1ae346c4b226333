"""pymoo's NSGA-II over codes, one generation after the other: who is asked, and who learns from what was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from methods.spaces.decisions import Code


class Settings(Protocol):
    """Of the operators, see `methods.sampling.nsga2.NSGA2Options`."""

    @property
    def population(self) -> int: ...
    @property
    def crossover_eta(self) -> float: ...
    @property
    def mutation_eta(self) -> float: ...


class Evolution:
    """What it gives follows from the seed, the first generation and what it was told, and from nothing else.

    Attributes:
        generation: the codes of the present one.
        number: of the present generation, from 0.
        exhausted: nothing new can be bred any more; there is no further generation.
    """

    def __init__(self, sizes: Sequence[int], first: Sequence[Code], settings: Settings, seed: int) -> None:
        """Args:
        sizes: number of options of each decision.
        first: the codes of the first generation.
        """
        self.number, self.exhausted = 0, False
        self.open = [place for place, size in enumerate(sizes) if size > 1]
        self.length = len(sizes)
        self.algorithm = self._algorithm([sizes[place] for place in self.open], first, settings, seed)
        self.population = self.algorithm.ask()
        self.generation = self._codes()

    def _algorithm(self, sizes: Sequence[int], first: Sequence[Code], settings: Settings, seed: int) -> Any:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair

        last = np.array(sizes) - 1
        problem = Problem(n_var=len(sizes), n_obj=2, xl=np.zeros(len(sizes)), xu=last, vtype=int)
        genes = np.array([[code[place] for place in self.open] for code in first])
        operators = {"prob": 1.0, "vtype": float, "repair": RoundingRepair()}
        algorithm = NSGA2(
            pop_size=settings.population,
            sampling=genes,
            crossover=SBX(eta=settings.crossover_eta, **operators),
            mutation=PM(eta=settings.mutation_eta, **operators),
            eliminate_duplicates=True,
        )
        algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
        return algorithm

    def _codes(self) -> list[Code]:
        """Of the present population; decisions without a choice have their only option."""
        codes = []
        for genes in self.population.get("X"):
            code = [0] * self.length
            for place, gene in zip(self.open, genes, strict=True):
                code[place] = int(gene)
            codes.append(tuple(code))
        return codes

    def breed(self, objectives: Sequence[tuple[float, float]]) -> list[Code]:
        """The next generation's codes; none, where nothing new is left.

        Args:
            objectives: of the present generation, in its order; smaller is better.
        """
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        Evaluator().eval(StaticProblem(self.algorithm.problem, F=np.array(objectives)), self.population)
        self.algorithm.tell(infills=self.population)
        self.population = self.algorithm.ask()
        self.exhausted = self.population is None or len(self.population) == 0
        self.number += not self.exhausted
        self.generation = [] if self.exhausted else self._codes()
        return self.generation
