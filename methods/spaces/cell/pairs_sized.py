"""Cells of two inputs a node drawn at a size: what the space's uniform draw gives, on the condition that it has it.

A count is that of the network whose operations are all skip connections, plus, for each edge, what its operation makes
of it: that depends on the kind of cell, on the operation and on whether the edge leaves an input of the cell. The
counts of many draws are sums of these few numbers. Draws go on until one is of the size asked for, or less within the
tolerance; every architecture of such a size is then equally likely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import product

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import NetworkCounts
from methods.spaces.base import SizeMatch
from methods.spaces.cell.decisions import CHOICES
from methods.spaces.cell.layout import INPUTS
from methods.spaces.decisions import Decision, DecisionSpace
from methods.spaces.operation_names import SKIP

DRAWS, ROUNDS = 4096, 500
"""Two million draws in all."""
Count = Callable[[Architecture], NetworkCounts]
Codes = dict[str, Tensor]
"""By decision, the option of every draw."""


def draw_pairs_at_size(
    space: DecisionSpace, kinds: tuple[str, ...], generator: torch.Generator, match: SizeMatch, count: Count
) -> Architecture:
    """A random architecture whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Its scale is the other one's; its provenance has its sizes.

    Raises:
        ArchitectureError: none of the draws had such a size, or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {space.name}")
    scale = dict(match.scale)

    def size(found: Architecture) -> int:
        return int(getattr(count(replace(found, scale=scale)), match.on))

    base, table = edge_counts(space, kinds, size)
    decisions = space.decisions()
    low, high = (1 - match.tolerance) * match.value, match.value
    smallest, largest = 1 << 62, 0
    for _ in range(ROUNDS):
        codes = {d.name: torch.randint(len(d.options), (DRAWS,), generator=generator) for d in decisions}
        sizes = base + reduce(torch.add, _of_edges(decisions, codes, kinds, table))
        smallest, largest = min(smallest, int(sizes.min())), max(largest, int(sizes.max()))
        fitting = ((sizes >= low) & (sizes <= high)).nonzero().flatten().tolist()
        if fitting:
            drawn = space.decode(tuple(int(codes[decision.name][fitting[0]]) for decision in decisions))
            return _told(replace(drawn, scale=scale), count)
    raise ArchitectureError(
        f"{ROUNDS * DRAWS:,} random architectures of {space.name} came no nearer than {match.tolerance:.2%} below "
        f"{match.on} = {match.value:,.0f} (at {scale} they had from {smallest:,} to {largest:,}); allow more with a "
        "larger tolerance of 'match'"
    )


def edge_counts(
    space: DecisionSpace, kinds: tuple[str, ...], size: Callable[[Architecture], int]
) -> tuple[int, Tensor]:
    """The size with skip connections from both inputs everywhere, and what an edge makes of it.

    Returns:
        the size; (kinds, 2, operations), by whether an edge leaves an input.
    """
    decisions = space.decisions()
    plain = {decision.name: decision.options.index(SKIP) if SKIP in decision.options else 0 for decision in decisions}

    def sized(**changed: int) -> int:
        return size(space.decode(tuple((plain | changed)[decision.name] for decision in decisions)))

    base = sized()
    table = torch.zeros(len(kinds), 2, len(CHOICES), dtype=torch.int64)
    pairs = {decision.name: decision.options for decision in decisions}
    node = INPUTS + 1
    for (row, kind), (column, _) in product(enumerate(kinds), enumerate(CHOICES)):
        table[row, 1, column] = sized(**{f"{kind}.{INPUTS}.first": column}) - base
        inner = {f"{kind}.{node}.inputs": pairs[f"{kind}.{node}.inputs"].index((0, INPUTS))}
        table[row, 0, column] = sized(**inner, **{f"{kind}.{node}.second": column}) - base
    return base, table


def _of_edges(decisions: tuple[Decision, ...], codes: Codes, kinds: tuple[str, ...], table: Tensor) -> list[Tensor]:
    """For every edge, what it makes of the size in each draw."""
    found = []
    options = {decision.name: decision.options for decision in decisions}
    for name in codes:
        kind, node, place = name.split(".")
        if place == "inputs":
            continue
        chosen = f"{kind}.{node}.inputs"
        from_input = torch.ones(DRAWS, dtype=torch.int64)
        if chosen in codes:
            which = place == "second"
            from_input = torch.tensor([int(pair[which] < INPUTS) for pair in options[chosen]])[codes[chosen]]
        found.append(table[kinds.index(kind)][from_input, codes[name]])
    return found


def _told(drawn: Architecture, count: Count) -> Architecture:
    counts = count(drawn)
    sizes = {"params": counts.params, "params_nonzero": counts.params, "macs": counts.macs}
    return replace(drawn, provenance={"sizes": sizes})
