"""Textbook regularized evolution: algorithm 1 of Real et al., with every individual's birth written down."""

from __future__ import annotations

from collections.abc import Callable

import torch

from methods.spaces.decisions import Code


def regularized_evolution(
    score: Callable[[Code], float],
    draw: Callable[[], Code],
    mutate: Callable[[Code], Code],
    generator: torch.Generator,
    cycles: int,
    population_size: int,
    sample_size: int,
) -> list[Code]:
    """The history: all models in the order of their births."""
    population: dict[int, tuple[Code, float]] = {}
    history: list[Code] = []
    while len(history) < cycles:
        if len(population) < population_size:
            child = draw()
        else:
            alive = sorted(population)
            sample = [population[alive[i]] for i in torch.randint(len(alive), (sample_size,), generator=generator)]
            best = sorted(sample, key=lambda model: -model[1])[0]
            child = mutate(best[0])
        birth = len(history)
        history.append(child)
        population[birth] = (child, score(child))
        if len(population) > population_size:
            del population[min(population)]
    return history
