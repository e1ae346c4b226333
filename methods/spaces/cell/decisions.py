"""What is decided in a cell of DARTS' operations: for `darts_cell` two inputs and their operations at every node, for
`dense_cell` which of all operations enter a node.

An architecture is written as decisions where it has one normal and one reduction cell, its nodes all joined, and no
scale, widths or masks of its own. `decode` gives a cell's edges in the order of node and source; one with the same
edges in another order has the same code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from methods.architecture import ArchitectureError
from methods.spaces.cell.layout import INPUTS
from methods.spaces.decisions import Code, Decision, NonEmptySubsets, SubsetDecision
from methods.spaces.operation_names import OPERATIONS

KINDS = ("normal", "reduce")
CHOICES = OPERATIONS[1:]
"""What can be on an edge; `none` is the absence of the edge."""


@cache
def pair_decisions(nodes: int) -> tuple[Decision, ...]:
    """Of a pair of cells: for each node its two inputs (where there is a choice), then the operation of each."""
    found = []
    for kind in KINDS:
        for node in range(INPUTS, INPUTS + nodes):
            pairs = tuple(itertools.combinations(range(node), 2))
            if len(pairs) > 1:
                found.append(Decision(f"{kind}.{node}.inputs", pairs))
            found += [Decision(f"{kind}.{node}.{place}", CHOICES) for place in ("first", "second")]
    return tuple(found)


def decode_pairs(nodes: int, code: Code) -> dict[str, Any]:
    """The genotype of a code of `pair_decisions`."""
    left = zip(pair_decisions(nodes), code, strict=True)
    chosen: Iterator[Any] = (decision.options[option] for decision, option in left)

    def node_edges(node: int) -> list[list[Any]]:
        inputs = next(chosen) if node > INPUTS else (0, 1)
        return [[next(chosen), source, node] for source in inputs]

    return _genotype(nodes, lambda kind, node: node_edges(node))


def encode_pairs(nodes: int, genotype: Mapping[str, Any]) -> Code:
    """Inverse of `decode_pairs`, for a valid genotype; raises ArchitectureError for one that is no pair of cells."""
    values: list[Any] = []
    for _, node, edges in _nodes_of(nodes, genotype):
        (first, low), (second, high) = sorted(((op, source) for op, source, _ in edges), key=lambda edge: edge[1])
        values += [(low, high)] * (node > INPUTS) + [first, second]
    decisions = pair_decisions(nodes)
    return tuple(decision.options.index(value) for decision, value in zip(decisions, values, strict=True))


@cache
def subset_decisions(nodes: int) -> tuple[Decision, ...]:
    """Of a pair of cells: for each node the (operation, source) that enter it, at least one."""

    def items(node: int) -> tuple[tuple[str, int], ...]:
        return tuple((operation, source) for source in range(node) for operation in CHOICES)

    return tuple(
        SubsetDecision(f"{kind}.{node}", NonEmptySubsets(items(node)))
        for kind in KINDS
        for node in range(INPUTS, INPUTS + nodes)
    )


def decode_subsets(nodes: int, code: Code) -> dict[str, Any]:
    """The genotype of a code of `subset_decisions`."""
    chosen = (decision.options[option] for decision, option in zip(subset_decisions(nodes), code, strict=True))
    return _genotype(nodes, lambda kind, node: [[operation, source, node] for operation, source in next(chosen)])


def encode_subsets(nodes: int, genotype: Mapping[str, Any]) -> Code:
    """Inverse of `decode_subsets`; raises ArchitectureError for a genotype that is no pair of cells."""
    values = []
    for kind, node, edges in _nodes_of(nodes, genotype):
        items = [(operation, source) for operation, source, _ in edges]
        if len(set(items)) < len(items):
            raise ArchitectureError(f"no code stands for it: an edge into node {node} of cell '{kind}' is there twice")
        values.append(items)
    decisions = subset_decisions(nodes)
    return tuple(decision.options.index(value) for decision, value in zip(decisions, values, strict=True))


def _genotype(nodes: int, edges_of: Callable[[str, int], list[list[Any]]]) -> dict[str, Any]:
    joined = list(range(INPUTS, INPUTS + nodes))
    return {
        kind: {"edges": [edge for node in joined for edge in edges_of(kind, node)], "concat": list(joined)}
        for kind in KINDS
    }


def _nodes_of(nodes: int, genotype: Mapping[str, Any]) -> Iterator[tuple[str, int, list[Sequence[Any]]]]:
    """Kind, node and the edges into it, in the order of the decisions."""
    joined = list(range(INPUTS, INPUTS + nodes))
    if "cells" in genotype:
        raise ArchitectureError("no code stands for it: its cells are not one normal and one reduction cell")
    for kind in KINDS:
        cell = genotype[kind]
        if sorted(cell["concat"]) != joined or max(node for *_, node in cell["edges"]) > joined[-1]:
            raise ArchitectureError(f"no code stands for it: cell '{kind}' does not join the nodes {joined}")
        for node in joined:
            yield kind, node, [edge for edge in cell["edges"] if edge[2] == node]
