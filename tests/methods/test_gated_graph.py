"""AutoShrink's differentiable twin: gates of one are the network of the open edges, and the output is never cut off."""

from __future__ import annotations

import itertools
from math import log10
from typing import Any

import pytest
import torch

from methods.base import SearchContext
from methods.gradient.autoshrink_gates import AutoShrinkGates, AutoShrinkGatesOptions
from methods.sampling.autoshrink import AutoShrink, AutoShrinkOptions
from methods.spaces.graph.gated import EdgeGates, GatedGraph
from methods.spaces.graph.network import OPERATIONS, GraphNetwork, network_counts
from methods.spaces.graph.structure import complete, live

NODES = 5
OPS = [OPERATIONS[node % 2] for node in range(NODES)]


def graph(kept: set[tuple[int, int]], large: float = 40.0) -> GatedGraph:
    """Gates of exactly one on some edges and near zero on the others."""
    torch.manual_seed(0)
    found = GatedGraph(OPS, 10, 4, 1)
    with torch.no_grad():
        found.gates.alpha.copy_(torch.tensor([large if edge in kept else -large for edge in complete(NODES)]))
        found.gates.threshold.fill_(0.5)
    return found


def draws(count: int) -> list[set[tuple[int, int]]]:
    """Random graphs in which the output can be reached."""
    generator, found = torch.Generator().manual_seed(1), list[set[tuple[int, int]]]()
    while len(found) < count:
        bits = torch.rand(len(complete(NODES)), generator=generator) < 0.5
        kept = {edge for edge, bit in zip(complete(NODES), bits.tolist(), strict=True) if bit}
        if live(kept, NODES):
            found.append(kept)
    return found


@pytest.mark.parametrize("kept", draws(6), ids=str)
def test_gates_of_one_are_the_network_of_the_open_edges(kept: set[tuple[int, int]]) -> None:
    gated = graph(kept)
    discrete = GraphNetwork(OPS, sorted(kept), 10, 4, 1)
    weights = {name: value for name, value in gated.network.state_dict().items() if name in discrete.state_dict()}
    discrete.load_state_dict(weights)
    images = torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(gated(images), discrete(images))
    torch.testing.assert_close(gated.eval()(images), discrete.eval()(images))
    assert gated.gates.kept() == live(kept, NODES)
    macs = network_counts(OPS, sorted(kept), 10, 4, 1, 8).macs
    assert gated.expected_macs(8).item() == pytest.approx(macs, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_threshold_the_output_is_reached_by_the_widest_way(seed: int) -> None:
    """Against all ways from input to output, by hand."""
    torch.manual_seed(seed)
    gates = EdgeGates(NODES)
    with torch.no_grad():
        gates.alpha.normal_()
        gates.threshold.fill_(2.0)
    values = dict(zip(gates.edges, gates.alpha.sigmoid().tolist(), strict=True))
    middle = range(1, NODES - 1)
    ways = [[0, *(n for n in middle if bits >> n & 1), NODES - 1] for bits in range(0, 2**NODES, 2) if bits < 16]
    widest = max(ways, key=lambda way: min(values[edge] for edge in itertools.pairwise(way)))
    on_it = set(itertools.pairwise(widest))
    least = min(values[edge] for edge in on_it)
    assert on_it <= set(gates.kept())
    assert {edge for edge in gates.edges if values[edge] >= least} >= set(gates.kept())
    assert (gates() > 0).any()


def test_gradients_are_those_of_differences_where_nothing_opens_or_closes() -> None:
    """By the gates alone: the threshold's and the closed edges' are the step's, which has none of its own."""
    torch.manual_seed(3)
    gates = EdgeGates(NODES).double()
    with torch.no_grad():
        gates.alpha.normal_()
        gates.threshold.fill_(-1.0)
    probe = torch.randn(len(gates.edges), dtype=torch.float64)
    graph_ = GatedGraph(OPS, 10, 4, 1)
    graph_.gates = gates

    def value() -> torch.Tensor:
        return (gates() * probe).sum() + graph_.expected_macs(8).log10()

    with torch.no_grad():
        gates.threshold.fill_(-1.5)  # so far below every gate that the step's derivative is zero
    (found,) = torch.autograd.grad(value(), [gates.alpha])
    for place in range(len(gates.edges)):
        with torch.no_grad():
            gates.alpha[place] += 1e-6
            above = value()
            gates.alpha[place] -= 2e-6
            below = value()
            gates.alpha[place] += 1e-6
        assert found[place].item() == pytest.approx(((above - below) / 2e-6).item(), rel=1e-4, abs=1e-8)


def test_the_push_raises_the_threshold_and_edges_close() -> None:
    method = search(push=2.0, gate_lr=0.05, epochs=40)
    images = torch.randn(8, 1, 8, 8), torch.randint(10, (8,))
    for _ in range(40):
        method.step(images, None)
    assert method.supernet.gates.threshold.item() > 0.3
    assert len(method.supernet.gates.kept()) < len(complete(NODES))


def test_the_best_epoch_is_the_answer() -> None:
    """By accuracy less ten points for ten times the MACs; an epoch that is not better changes nothing."""
    method = search()
    accuracies = iter([50.0, 60.0, 20.0])
    with torch.no_grad():
        method.supernet.gates.threshold.fill_(0.1)
    answers = []
    for epoch in range(3):
        with torch.no_grad():
            method.supernet.gates.alpha[(2, 4, 5)[epoch]] = -40.0
        values = method.on_epoch_end(epoch, lambda: {"accuracy": next(accuracies)})
        edges = method.supernet.gates.kept()
        macs = network_counts(method.operations, edges, 10, 4, 1, 8).macs
        assert values["graph/macs"] == macs
        answers.append(([list(edge) for edge in edges], values["graph/score"]))
    assert answers[1][1] == pytest.approx(60 - 10 * log10(method.macs([(a, b) for a, b in answers[1][0]]) / 1e6))
    assert method.architecture().genotype["edges"] == answers[1][0] != answers[2][0]


@pytest.mark.parametrize("seed", range(4))
def test_it_has_the_operations_that_autoshrink_starts_with(seed: int) -> None:
    context = SearchContext(10, in_channels=1, image_size=8, seed=seed)
    first = AutoShrink(AutoShrinkOptions(space="graph_5"), context).ask()
    assert search(seed=seed).operations == list(first.genotype["operations"])


def search(seed: int = 0, **options: Any) -> AutoShrinkGates:
    torch.manual_seed(seed)
    context = SearchContext(10, in_channels=1, image_size=8, seed=seed)
    return AutoShrinkGates(AutoShrinkGatesOptions(space="graph_5", channels=4, **options), context)
