"""What gates say of the architecture that will be derived from them: how often each option is expected to stand in it.

The counterparts of `methods.parts.discretiser`: where that takes the largest, a draw by the same strengths. One-hot
gates give the derived architecture's own choices, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from methods.parts.gates import Gates
from methods.parts.topology import CellTopology, Topology
from methods.spaces.operation_names import NONE

Choices = Mapping[str, Tensor]
"""By kind of cell, (decisions, options): how often each option stands there; of one architecture zeros and ones."""


def equal_gates(topology: Topology) -> dict[str, Gates]:
    """Every option of a decision as likely as any other."""
    _, decisions, columns = topology.shape
    there = torch.ones(decisions, columns)
    for place in topology.absent:
        there[place] = 0.0
    gates = Gates(there / there.sum(dim=-1, keepdim=True), torch.ones(decisions))
    return dict.fromkeys(topology.kinds, gates)


def one_each(gates: Mapping[str, Gates]) -> dict[str, Tensor]:
    """Of spaces in which every decision keeps one option: their probabilities. The decisions' weights say nothing."""
    return {kind: each.options for kind, each in gates.items()}


def two_edges(gates: Mapping[str, Gates], topology: CellTopology) -> dict[str, Tensor]:
    """Of DARTS' cells (`top_two_edges`): per node two different edges, drawn one after the other by the strength of all
    their operations but `none`, and on each edge one of these by its strength. The column of `none` has the probability
    that there is no edge: the rows sum to one."""
    return {kind: _two_edges(each, topology) for kind, each in gates.items()}


def two_pairs(gates: Mapping[str, Gates], topology: CellTopology) -> dict[str, Tensor]:
    """Of GDAS' cells (`top_two_pairs`): per node two different pairs of edge and operation, drawn by their strengths;
    both can be of one edge. The column of `none` has what is missing to one, if anything."""
    return {kind: _two_pairs(each, topology) for kind, each in gates.items()}


def _two_edges(gates: Gates, topology: CellTopology) -> Tensor:
    strength, column = _strengths(gates, topology)
    of_edges = strength.sum(dim=-1)
    kept = torch.cat([_both_of_two(of_edges[_rows(topology, node)]) for node in topology.node_numbers])
    return _absent(strength / _above_zero(of_edges)[:, None] * kept[:, None], column)


def _two_pairs(gates: Gates, topology: CellTopology) -> Tensor:
    strength, column = _strengths(gates, topology)
    nodes = [strength[_rows(topology, node)] for node in topology.node_numbers]
    return _absent(torch.cat([_both_of_two(each.flatten()).view_as(each) for each in nodes]), column)


def _rows(topology: CellTopology, node: int) -> slice:
    """Of the edges into a node, which follow each other."""
    rows = topology.entering(node)
    return slice(rows[0], rows[-1] + 1)


def _strengths(gates: Gates, topology: CellTopology) -> tuple[Tensor, int]:
    """(edges, operations), with zeros for `none`; and its column."""
    column = topology.operations.index(NONE)
    keep = torch.ones_like(gates.options[0])
    keep[column] = 0
    return gates.options * gates.weights[:, None] * keep, column


def _absent(present: Tensor, column: int) -> Tensor:
    """With what is missing to one in the column of `none`."""
    missing = (1 - present.sum(dim=-1)).clamp_min(0)
    return torch.cat([present[:, :column], missing[:, None], present[:, column + 1 :]], dim=1)


def _both_of_two(strength: Tensor) -> Tensor:
    """(n,): the probability that each is among two, drawn one after the other without replacement.

    p_e + sum over f of p_f p_e / (1 - p_f), f != e (Plackett-Luce). Of two things it is one for both.
    """
    others = ~torch.eye(len(strength), dtype=torch.bool, device=strength.device)
    first = strength / _above_zero(strength.sum())
    left = _above_zero((first * others).sum(dim=-1))
    return first + (first[None, :] * (first / left)[:, None] * others).sum(dim=0)


def _above_zero(x: Tensor) -> Tensor:
    return x.clamp_min(torch.finfo(x.dtype).tiny)


def chosen(topology: Topology, options: Mapping[str, Sequence[tuple[int, str]]]) -> dict[str, Tensor]:
    """The choices of an architecture: float64, on the host.

    Args:
        options: by kind, (decision, name of its option) of all that stands there; where a decision has `none` among
            its options and nothing else stands there, it is that.
    """
    found = {}
    for kind, pairs in options.items():
        _, decisions, columns = topology.shape
        rows = torch.zeros(decisions, columns, dtype=torch.float64)
        for row, name in pairs:
            rows[row, topology.operations.index(name)] += 1
        if NONE in topology.operations:
            rows[:, topology.operations.index(NONE)] += rows.sum(dim=-1) == 0
        found[kind] = rows
    return found


def hard_one_each(gates: Mapping[str, Gates]) -> dict[str, Gates]:
    """One-hot gates of what would be derived now, on the gates' device."""
    return {kind: Gates(_one_hot(each.options), torch.ones_like(each.weights)) for kind, each in gates.items()}


def hard_two_edges(gates: Mapping[str, Gates], topology: CellTopology) -> dict[str, Gates]:
    """As `hard_one_each`; of each node two edges weigh one and the others nothing."""

    def hard(each: Gates) -> Gates:
        strength, _ = _strengths(each, topology)
        best = strength.amax(dim=-1)
        kept = torch.cat([_two_largest(best[_rows(topology, node)]) for node in topology.node_numbers])
        return Gates(_one_hot(strength), kept)

    return {kind: hard(each) for kind, each in gates.items()}


def hard_two_pairs(gates: Mapping[str, Gates], topology: CellTopology) -> dict[str, Gates]:
    """As `hard_one_each`; two operations of an edge that are both derived have a gate of one each."""

    def hard(each: Gates) -> Gates:
        nodes = [_strengths(each, topology)[0][_rows(topology, node)] for node in topology.node_numbers]
        options = torch.cat([_two_largest(strength.flatten()).view_as(strength) for strength in nodes])
        return Gates(options, torch.ones_like(each.weights))

    return {kind: hard(each) for kind, each in gates.items()}


def _one_hot(strength: Tensor) -> Tensor:
    return torch.zeros_like(strength).scatter_(-1, strength.argmax(dim=-1, keepdim=True), 1.0)


def _two_largest(strength: Tensor) -> Tensor:
    """(n,): one for two of them, zero for the others."""
    return torch.zeros_like(strength).scatter_(0, strength.topk(2).indices, 1.0)
