"""Networks of a space of widths drawn at random at a size.

Uniform draws are hardly ever as small or as large as what a search finds. Options are drawn by probabilities that grow
or fall evenly from the smallest to the largest option of every choice, so that the mean of the count is the size asked
for; among `POOL` draws or more that have it, one is then drawn with the weight that its probability took away or
gave. With many draws every network of that size is equally likely, as it is if uniform draws are repeated until one
has it (self-normalised importance resampling; Rubin, 1987).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.parts.costs.widths import Layers, Product, counted
from methods.spaces.base import SizeMatch
from methods.spaces.decisions import Decision, DecisionSpace

DRAWS, ROUNDS, POOL = 4096, 200, 64
STEEPEST, HALVINGS = 24.0, 20
"""Of the logarithm of a probability, from the smallest to the largest option."""


def draw_at_size(space: DecisionSpace, generator: torch.Generator, match: SizeMatch, layers: Layers) -> Architecture:
    """A random network whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Its provenance has its sizes.

    Raises:
        ArchitectureError: no network of the grid has such a size, or none of the draws had; or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {space.name}")
    decisions = space.decisions()
    products = layers.macs if match.on == "macs" else layers.params
    low, high = (1 - match.tolerance) * match.value, match.value
    ends = [{each.name: torch.tensor([end(each)]) for each in decisions} for end in (lambda _: 0, _last)]
    least, most = (int(counted(products, options)) for options in ends)
    if not (least <= high and low <= most):
        raise ArchitectureError(
            f"{match.on} = {match.value:,.0f} is to be matched, and networks of {space.name} have from {least:,} to "
            f"{most:,}"
        )
    slope = _slope(products, decisions, (low + high) / 2, generator)
    pool: list[tuple[int, ...]] = []
    weights: list[float] = []
    for _ in range(ROUNDS):
        codes, logs = _drawn(decisions, slope, generator)
        sizes = counted(products, codes)
        fitting = ((sizes >= low) & (sizes <= high)).nonzero().flatten()
        pool += torch.stack([codes[each.name][fitting] for each in decisions], dim=-1).tolist()
        weights += (-logs[fitting]).tolist()
        if len(pool) >= POOL:
            break
    if not pool:
        raise ArchitectureError(
            f"{ROUNDS * DRAWS:,} random networks of {space.name} came no nearer than {match.tolerance:.2%} below "
            f"{match.on} = {match.value:,.0f}; allow more with a larger tolerance of 'match'"
        )
    chosen = pool[int(torch.multinomial(torch.tensor(weights).softmax(0), 1, generator=generator))]
    return _told(space.decode(tuple(chosen)), decisions, layers, chosen)


def _last(decision: Decision) -> int:
    return len(decision.options) - 1


def _drawn(decisions: Sequence[Decision], slope: float, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Options by the name of their decision, each (draws,), and the logarithms of the draws' probabilities."""
    codes, logs = {}, torch.zeros(DRAWS, dtype=torch.float64)
    for each in decisions:
        rising = torch.linspace(0, slope, len(each.options), dtype=torch.float64).log_softmax(0)
        codes[each.name] = torch.multinomial(rising.exp(), DRAWS, replacement=True, generator=generator)
        logs += rising[codes[each.name]]
    return codes, logs


def _slope(
    products: Sequence[Product], decisions: Sequence[Decision], wanted: float, generator: torch.Generator
) -> float:
    """At which the mean of the count is nearest to what is wanted; 0 where uniform draws reach it."""
    low, high = -STEEPEST, STEEPEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        mean = counted(products, _drawn(decisions, middle, generator)[0]).double().mean().item()
        low, high = (middle, high) if mean < wanted else (low, middle)
    return (low + high) / 2


def _told(drawn: Architecture, decisions: Sequence[Decision], layers: Layers, code: Sequence[int]) -> Architecture:
    options: Mapping[str, Tensor] = {each.name: torch.tensor([o]) for each, o in zip(decisions, code, strict=True)}
    params, macs = (int(counted(products, options)) for products in (layers.params, layers.macs))
    return replace(drawn, provenance={"sizes": {"params": params, "params_nonzero": params, "macs": macs}})
