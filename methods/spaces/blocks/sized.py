"""Networks of blocks drawn at a size: what the space's uniform draw gives, on the condition that it is of that size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import NetworkCounts
from methods.spaces.base import SizeMatch
from methods.spaces.decisions import Code, DecisionSpace, sample_code

DRAWS = 100_000
"""Of a space of some ten thousand networks, which are counted once each."""


def draw_blocks_at_size(
    space: DecisionSpace,
    generator: torch.Generator,
    match: SizeMatch,
    count: Callable[[Architecture], NetworkCounts],
) -> Architecture:
    """A random network whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Every network of such a size is equally likely. Its scale is the other one's; its provenance has its sizes.

    Raises:
        ArchitectureError: none of the draws had such a size, or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {space.name}")
    low, high = (1 - match.tolerance) * match.value, match.value
    counted: dict[Code, int] = {}
    for _ in range(DRAWS):
        code = sample_code(space, generator)
        drawn = replace(space.decode(code), scale=dict(match.scale))
        if code not in counted:
            counted[code] = getattr(count(drawn), match.on)
        if low <= counted[code] <= high:
            counts = count(drawn)
            sizes = {"params": counts.params, "params_nonzero": counts.params, "macs": counts.macs}
            return replace(drawn, provenance={"sizes": sizes})
    raise ArchitectureError(
        f"{DRAWS:,} random networks of {space.name} came no nearer than {match.tolerance:.2%} below {match.on} = "
        f"{match.value:,.0f} (at {dict(match.scale)} they had from {min(counted.values()):,} to "
        f"{max(counted.values()):,}); allow more with a larger tolerance of 'match'"
    )
