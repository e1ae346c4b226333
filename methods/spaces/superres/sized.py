"""Networks of the distillation backbone drawn at random at a size: uniform over all that have it.

Which blocks are read costs nothing, so that the size is decided by the operations alone; there are 729 choices of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import NetworkCounts
from methods.spaces.base import SizeMatch
from methods.spaces.superres.layout import CHOOSING, OPERATIONS, REFINEMENTS, genotype_of, pairs


def draw_at_size(
    name: str, generator: torch.Generator, match: SizeMatch, counts: Callable[[Architecture], NetworkCounts]
) -> Architecture:
    """A network, as wide as the other one, whose count `match.on` is `match.value`, or less by at most
    `match.tolerance` of it.

    Args:
        counts: of an architecture of the space.

    Raises:
        ArchitectureError: there is none, or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {name}")
    inputs = [pairs(block)[_below(len(pairs(block)), generator)] for block in CHOOSING]
    fitting: list[Architecture] = []
    sizes = set()
    for operations in itertools.product(OPERATIONS, repeat=REFINEMENTS):
        found = Architecture(name, genotype_of(operations, inputs), dict(match.scale))
        size = getattr(counts(found), match.on)
        sizes.add(size)
        if (1 - match.tolerance) * match.value <= size <= match.value:
            fitting.append(found)
    if not fitting:
        raise ArchitectureError(
            f"{match.on} = {match.value:,.0f} is to be matched, and no network of {name} is within "
            f"{match.tolerance:.2%} below it; they have from {min(sizes):,} to {max(sizes):,}. Allow more with a "
            "larger tolerance of 'match'"
        )
    drawn = fitting[_below(len(fitting), generator)]
    found_counts = counts(drawn)
    told = {"params": found_counts.params, "params_nonzero": found_counts.params, "macs": found_counts.macs}
    return replace(drawn, provenance={"sizes": told})


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
