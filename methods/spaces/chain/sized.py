"""Chains drawn at random at a size: what a space's uniform draw gives, on the condition that it is of that size.

A chain's count is that of its frame plus, for each place, that of what stands there, so that the counts of many draws
are sums of a few numbers. Draws go on until one is of the size asked for, or less within the tolerance; every chain of
such a size is then equally likely.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.base import SizeMatch
from methods.spaces.chain.blocks import block_counts
from methods.spaces.chain.counts import Input, frame_counts, network_counts, sides
from methods.spaces.chain.layout import layout
from methods.spaces.chain.macro import Macro
from methods.spaces.chain.notation import Chosen
from methods.spaces.decisions import DecisionSpace

DRAWS, ROUNDS = 4096, 500
"""Two million draws in all."""


class Chains(DecisionSpace, Protocol):
    """A space of chains."""

    @property
    def macro(self) -> Macro: ...

    def blocks_of(self, option: Any) -> Chosen:
        """What an option of a decision puts at its place."""


def draw_at_size(space: Chains, generator: torch.Generator, match: SizeMatch, given: Input) -> Architecture:
    """A random chain whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Its scale is the other one's; its provenance has its sizes.

    Raises:
        ArchitectureError: no chain has such a size, or none of the draws had; or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {space.name}")
    macro = space.macro.scaled(match.scale.get("channels", space.macro.stem))
    frame, tables = frame_counts(macro, given)[match.on == "macs"], option_counts(space, macro, match.on, given)
    low, high = (1 - match.tolerance) * match.value, match.value
    least, most = (frame + sum(int(bound(table)) for table in tables) for bound in (torch.min, torch.max))
    if not (least <= high and low <= most):
        raise ArchitectureError(
            f"{match.on} = {match.value:,.0f} is to be matched, and chains of {space.name} with {macro.stem} channels "
            f"in the stem have from {least:,} to {most:,}"
        )
    for _ in range(ROUNDS):
        codes = [torch.randint(len(table), (DRAWS,), generator=generator) for table in tables]
        sizes = frame + sum((table[code] for table, code in zip(tables, codes, strict=True)), torch.zeros(()).long())
        fitting = ((sizes >= low) & (sizes <= high)).nonzero().flatten().tolist()
        if fitting:
            drawn = space.decode(tuple(int(code[fitting[0]]) for code in codes))
            return _told(drawn, space, macro, match, given)
    raise ArchitectureError(
        f"{ROUNDS * DRAWS:,} random chains of {space.name} came no nearer than {match.tolerance:.2%} below {match.on} "
        f"= {match.value:,.0f}; allow more with a larger tolerance of 'match'"
    )


def option_counts(space: Chains, macro: Macro, on: str, given: Input) -> list[Tensor]:
    """For every place, what each of its options adds to a count."""
    places = list(macro.places())
    found = []
    for decision, place, (before, after) in zip(space.decisions(), places, sides(macro, places, given), strict=True):
        each = []
        for option in decision.options:
            blocks = space.blocks_of(option)
            counts = (block_counts(b, place.c_in, place.c_out, b.expansion * place.c_in, before, after) for b in blocks)
            each.append(sum(getattr(count, on) for count in counts))
        found.append(torch.tensor(each))
    return found


def _told(drawn: Architecture, space: Chains, macro: Macro, match: SizeMatch, given: Input) -> Architecture:
    drawn = replace(drawn, scale=dict(match.scale))
    counts = network_counts(macro, layout(drawn, space.macro), given)
    sizes = {"params": counts.params, "params_nonzero": counts.params, "macs": counts.macs}
    return replace(drawn, provenance={"sizes": sizes})
