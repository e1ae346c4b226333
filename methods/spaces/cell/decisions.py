"""What is decided in a cell of DARTS' operations: for `darts_cell` two inputs and their operations at every node, for
`dense_cell` which of all operations enter a node.

An architecture is written as decisions where it has one cell of each kind (a normal and a reduction cell; in
`staged_cell` those of every stage), its nodes all joined, and no scale, widths or masks of its own. `decode` gives a
cell's edges in the order of node and source; one with the same edges in another order has the same code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from methods.architecture import ArchitectureError
from methods.spaces.cell.layout import INPUTS
from methods.spaces.cell.sharing import BY_TYPE
from methods.spaces.decisions import Code, Decision, NonEmptySubsets, SubsetDecision
from methods.spaces.operation_names import OPERATIONS, SKIP

Kinds = tuple[str, ...]
CHOICES = OPERATIONS[1:]
"""What can be on an edge; `none` is the absence of the edge."""


@cache
def pair_decisions(nodes: int, kinds: Kinds = BY_TYPE.kinds) -> tuple[Decision, ...]:
    """Of a cell of each kind: for each node its two inputs (where there is a choice), then the operation of each."""
    found = []
    for kind in kinds:
        for node in range(INPUTS, INPUTS + nodes):
            pairs = tuple(itertools.combinations(range(node), 2))
            if len(pairs) > 1:
                found.append(Decision(f"{kind}.{node}.inputs", pairs))
            skip = CHOICES.index(SKIP)
            found += [Decision(f"{kind}.{node}.{place}", CHOICES, neutral=skip) for place in ("first", "second")]
    return tuple(found)


def decode_pairs(nodes: int, code: Code, kinds: Kinds = BY_TYPE.kinds) -> dict[str, Any]:
    """The genotype of a code of `pair_decisions`."""
    left = zip(pair_decisions(nodes, kinds), code, strict=True)
    chosen: Iterator[Any] = (decision.options[option] for decision, option in left)

    def node_edges(node: int) -> list[list[Any]]:
        inputs = next(chosen) if node > INPUTS else (0, 1)
        return [[next(chosen), source, node] for source in inputs]

    return _genotype(nodes, kinds, lambda kind, node: node_edges(node))


def encode_pairs(nodes: int, genotype: Mapping[str, Any], kinds: Kinds = BY_TYPE.kinds) -> Code:
    """Inverse of `decode_pairs`, for a valid genotype; raises ArchitectureError for one whose cells are not shared."""
    values: list[Any] = []
    for _, node, edges in _nodes_of(nodes, genotype, kinds):
        (first, low), (second, high) = sorted(((op, source) for op, source, _ in edges), key=lambda edge: edge[1])
        values += [(low, high)] * (node > INPUTS) + [first, second]
    decisions = pair_decisions(nodes, kinds)
    return tuple(decision.options.index(value) for decision, value in zip(decisions, values, strict=True))


@cache
def subset_decisions(nodes: int, kinds: Kinds = BY_TYPE.kinds) -> tuple[Decision, ...]:
    """Of a cell of each kind: for each node the (operation, source) that enter it, at least one."""

    def items(node: int) -> tuple[tuple[str, int], ...]:
        return tuple((operation, source) for source in range(node) for operation in CHOICES)

    return tuple(
        SubsetDecision(f"{kind}.{node}", NonEmptySubsets(items(node)))
        for kind in kinds
        for node in range(INPUTS, INPUTS + nodes)
    )


def decode_subsets(nodes: int, code: Code, kinds: Kinds = BY_TYPE.kinds) -> dict[str, Any]:
    """The genotype of a code of `subset_decisions`."""
    chosen = (decision.options[option] for decision, option in zip(subset_decisions(nodes, kinds), code, strict=True))
    return _genotype(nodes, kinds, lambda kind, node: [[operation, source, node] for operation, source in next(chosen)])


def encode_subsets(nodes: int, genotype: Mapping[str, Any], kinds: Kinds = BY_TYPE.kinds) -> Code:
    """Inverse of `decode_subsets`; raises ArchitectureError for a genotype whose cells are not shared."""
    values = []
    for kind, node, edges in _nodes_of(nodes, genotype, kinds):
        items = [(operation, source) for operation, source, _ in edges]
        if len(set(items)) < len(items):
            raise ArchitectureError(f"no code stands for it: an edge into node {node} of cell '{kind}' is there twice")
        values.append(items)
    decisions = subset_decisions(nodes, kinds)
    return tuple(decision.options.index(value) for decision, value in zip(decisions, values, strict=True))


def _genotype(nodes: int, kinds: Kinds, edges_of: Callable[[str, int], list[list[Any]]]) -> dict[str, Any]:
    joined = list(range(INPUTS, INPUTS + nodes))
    return {
        kind: {"edges": [edge for node in joined for edge in edges_of(kind, node)], "concat": list(joined)}
        for kind in kinds
    }


def _nodes_of(nodes: int, genotype: Mapping[str, Any], kinds: Kinds) -> Iterator[tuple[str, int, list[Sequence[Any]]]]:
    """Kind, node and the edges into it, in the order of the decisions."""
    joined = list(range(INPUTS, INPUTS + nodes))
    if "cells" in genotype:
        raise ArchitectureError("no code stands for it: its cells are not one normal and one reduction cell")
    for kind in kinds:
        cell = genotype[kind]
        if sorted(cell["concat"]) != joined or max(node for *_, node in cell["edges"]) > joined[-1]:
            raise ArchitectureError(f"no code stands for it: cell '{kind}' does not join the nodes {joined}")
        for node in joined:
            yield kind, node, [edge for edge in cell["edges"] if edge[2] == node]
