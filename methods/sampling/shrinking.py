"""What shrinking a space needs: how alike near networks score, seeds that are good and far apart, and the baseline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from methods.spaces.decisions import Code, DecisionSpace, SubsetDecision, distance

Scores = Mapping[Code, float]
BLOCK = 512
"""Codes whose distances to all others are in memory at once."""


def distances(space: DecisionSpace, some: Sequence[Code], others: Sequence[Code]) -> NDArray[np.int64]:
    """Steps from each of some codes to each of the others, (some, others)."""
    if any(isinstance(decision, SubsetDecision) for decision in space.decisions()):
        return np.array([[distance(space, a, b) for b in others] for a in some], np.int64).reshape(len(some), -1)
    total = np.zeros((len(some), len(others)), np.int64)
    for decision, a, b in zip(space.decisions(), np.array(some).T, np.array(others).T, strict=True):
        total += abs(a[:, None] - b[None]) if decision.ordered else a[:, None] != b[None]
    return total


def autocorrelation(space: DecisionSpace, scores: Scores, most: int) -> list[float | None]:
    """Locality: the correlation of the scores of two networks by their distance, at distances 1 to `most`.

    Mean product of deviations from the mean, over all pairs at a distance, over the variance; None where there are no
    pairs, or the scores do not vary. Of independent scores it is -1 / (n - 1) in expectation.
    """
    codes, values = list(scores), np.array(list(scores.values()))
    deviations = values - values.mean() if len(values) else values
    variance = float((deviations**2).mean()) if len(values) else 0.0
    products, pairs = np.zeros(most + 1), np.zeros(most + 1)
    for begin in range(0, len(codes), BLOCK):
        away = np.minimum(distances(space, codes[begin : begin + BLOCK], codes), most + 1)
        for steps in range(1, most + 1):
            there = away == steps
            pairs[steps] += there.sum()
            products[steps] += deviations[begin : begin + BLOCK] @ (there @ deviations)
    return [
        float(products[steps] / pairs[steps] / variance) if pairs[steps] and variance else None
        for steps in range(1, most + 1)
    ]


def spread(space: DecisionSpace, scores: Scores, count: int, pool: int) -> list[Code]:
    """Of the `pool` best codes `count` that are far apart: the best, then always the one farthest from those taken.

    Of equally far ones the best; of equally good ones the one scored first.
    """
    best = sorted(scores, key=lambda code: -scores[code])[:pool]
    away = distances(space, best, best)
    taken = [0]
    while len(taken) < min(count, len(best)):
        nearest = away[:, taken].min(axis=1)
        nearest[taken] = -1
        taken.append(int(nearest.argmax()))
    return [best[place] for place in taken]


def mean_distance(space: DecisionSpace, codes: Sequence[Code], most: int = 1500) -> float:
    """Diversity: steps between two of the codes, the mean over all pairs; 0 of a single one.

    Args:
        most: of more codes, so many are drawn, always the same.
    """
    if len(codes) > most:
        codes = draw(codes, most, torch.Generator().manual_seed(0))
    return float(distances(space, codes, codes).sum() / (len(codes) * (len(codes) - 1))) if len(codes) > 1 else 0.0


def drop_options(space: DecisionSpace, scores: Scores, largest: int) -> list[Code]:
    """The baseline: drop the worst options one by one until there are at most `largest` codes; all that are left.

    The worst is the option whose scored networks have the lowest mean, among those that have no dropped option; one
    that no such network has is judged by all that have it, and goes first where there is none at all. Every decision
    keeps one.
    """
    kept = [list(range(len(decision.options))) for decision in space.decisions()]
    left = dict(scores)
    while math.prod(map(len, kept)) > largest:
        options = [(place, option) for place, those in enumerate(kept) if len(those) > 1 for option in those]
        if not options:
            break
        place, option = min(options, key=lambda each: _mean(_having(left, *each) or _having(scores, *each)))
        kept[place].remove(option)
        left = {code: score for code, score in left.items() if code[place] != option}
    return list(itertools.product(*kept))


def _having(scores: Scores, place: int, option: int) -> list[float]:
    return [score for code, score in scores.items() if code[place] == option]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else -math.inf


def draw(codes: Iterable[Code], count: int, generator: torch.Generator) -> list[Code]:
    """Up to `count` of some codes, each once, uniformly."""
    ordered = sorted(codes)
    return [ordered[place] for place in torch.randperm(len(ordered), generator=generator)[:count].tolist()]
