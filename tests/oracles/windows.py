"""A relaxation of windows by the book: every combination of options is a network, counted on its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from methods.spaces.widths import Stage, Widths, inside_name, width_name

Option = tuple[int, float]
"""Channels and their probability."""


def options(window: Sequence[int], logits: Sequence[float], gate: float | None) -> list[Option]:
    """Of a width: a softmax over the channels of its window, behind the sigmoid of its block's gate."""
    chances = torch.tensor(logits[: len(window)]).double().softmax(0).tolist()
    there = 1.0 if gate is None else torch.tensor(gate).double().sigmoid().item()
    away = [] if gate is None else [(0, 1 - there)]
    return away + [(channels, there * chance) for channels, chance in zip(window, chances, strict=True)]


def networks(choices: Mapping[str, Sequence[Option]]) -> Iterator[tuple[dict[str, int], float]]:
    for picked in itertools.product(*choices.values()):
        chance = 1.0
        for _, probability in picked:
            chance *= probability
        yield dict(zip(choices, (channels for channels, _ in picked), strict=True)), chance


def expected_macs(
    choices: Mapping[str, Sequence[Option]], blocks: Sequence[int], macs: Callable[[Widths], float]
) -> float:
    """The mean over all networks; `blocks` has the number of blocks of each stage."""
    total = 0.0
    for values, chance in networks(choices):
        stages = (
            Stage(values[width_name(stage)], tuple(values[inside_name(stage, n)] for n in range(number)))
            for stage, number in enumerate(blocks)
        )
        total += chance * macs(Widths(tuple(stages)))
    return total
