"""Graphs drawn at random at a size: edges leave a random complete graph in random order until it is no larger.

Operations are drawn uniformly. An edge that would cut the output off is passed over, and what then lies on no way from
input to output goes with it. Draws go on until one is of the size asked for, or less within the tolerance; every order
of edges is equally likely, which is not uniform over all graphs of the size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import NetworkCounts
from methods.spaces.base import SizeMatch
from methods.spaces.graph.network import OPERATIONS
from methods.spaces.graph.structure import Edge, complete, live

DRAWS = 2000


def draw_graph_at_size(
    name: str,
    nodes: int,
    generator: torch.Generator,
    match: SizeMatch,
    counts: Callable[[Architecture], NetworkCounts],
) -> Architecture:
    """A random graph whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Args:
        counts: of an architecture of the space.

    Raises:
        ArchitectureError: none of the draws had such a size, or the other one has masks.
    """
    if match.masked:
        raise ArchitectureError(f"single weights are masked in what is to be matched, and none are in {name}")
    for _ in range(DRAWS):
        operations = [OPERATIONS[number] for number in torch.randint(2, (nodes,), generator=generator).tolist()]
        edges = complete(nodes)
        for number in torch.randperm(len(edges), generator=generator).tolist():
            found = _architecture(name, operations, edges, match)
            size = getattr(sizes := counts(found), match.on)
            if size <= match.value:
                if size >= (1 - match.tolerance) * match.value:
                    told = {"params": sizes.params, "params_nonzero": sizes.params, "macs": sizes.macs}
                    return replace(found, provenance={"sizes": told})
                break
            left = live(set(edges) - {complete(nodes)[number]}, nodes)
            edges = left or edges
    raise ArchitectureError(
        f"{DRAWS} random graphs of {name} came no nearer than {match.tolerance:.2%} below {match.on} = "
        f"{match.value:,.0f}; allow more with a larger tolerance of 'match'"
    )


def _architecture(name: str, operations: list[str], edges: tuple[Edge, ...], match: SizeMatch) -> Architecture:
    genotype = {"operations": operations, "edges": [list(edge) for edge in edges]}
    return Architecture(name, genotype, dict(match.scale))
