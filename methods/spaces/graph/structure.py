"""A graph of numbered nodes whose edges lead from lower to higher numbers, so that it is never cyclic.

Node 0 gets the cell's input, the last node gives its output. What lies on no way from the first to the last is no part
of a network.
"""

from __future__ import annotations

from collections.abc import Iterable

Edge = tuple[int, int]
"""Source and target."""


def complete(nodes: int) -> tuple[Edge, ...]:
    """Every edge there can be, by target, then by source."""
    return tuple((source, target) for target in range(1, nodes) for source in range(target))


def live(edges: Iterable[Edge], nodes: int) -> tuple[Edge, ...]:
    """The edges on a way from the first node to the last, by target, then by source; none if there is no way."""
    given = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    reached, leading = {0}, {nodes - 1}
    for source, target in given:
        if source in reached:
            reached.add(target)
    for source, target in reversed(given):
        if target in leading:
            leading.add(source)
    return tuple(edge for edge in given if edge[0] in reached and edge[1] in leading)


def live_nodes(edges: Iterable[Edge], nodes: int) -> tuple[int, ...]:
    """The nodes on such a way, ascending; none if there is no way."""
    return tuple(sorted({node for edge in live(edges, nodes) for node in edge}))
