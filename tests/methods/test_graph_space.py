"""Graph cells: what is on a way from input to output, against a search for ways, and networks that hold only that."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.base import SizeMatch
from methods.spaces.decisions import sample_code, size
from methods.spaces.graph.network import OPERATIONS, GraphCell
from methods.spaces.graph.structure import complete, live, live_nodes

SPACE: Any = get_space("graph_5")


def ways(edges: set[tuple[int, int]], here: int, last: int) -> list[list[int]]:
    """Every way from a node to the last."""
    if here == last:
        return [[here]]
    return [[here, *way] for source, target in edges if source == here for way in ways(edges, target, last)]


def test_the_complete_graphs_have_their_edges() -> None:
    assert len(complete(5)) == 10
    assert len(complete(8)) == 28
    assert all(source < target for source, target in complete(8)), "never cyclic"
    assert size(SPACE) == 2**5 * 2**10


def test_what_is_live_is_on_a_way() -> None:
    for bits in range(2**10):
        edges = {edge for bit, edge in enumerate(complete(5)) if bits >> bit & 1}
        found = ways(edges, 0, 4)
        on = {edge for way in found for edge in itertools.pairwise(way)}
        assert set(live(edges, 5)) == on
        assert set(live_nodes(edges, 5)) == {node for way in found for node in way}


def test_trimmed_codes_are_the_same_network() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        code = sample_code(SPACE, generator)
        trimmed = SPACE.trimmed(code)
        given = SPACE.counts(SPACE.decode(code), 10, NetworkSettings())
        if trimmed is None:
            assert not live(SPACE.decisions()[-1].options[code[-1]], 5)
        else:
            assert SPACE.counts(SPACE.decode(trimmed), 10, NetworkSettings()) == given
            assert SPACE.trimmed(trimmed) == trimmed


def test_a_cell_is_the_sum_of_its_sources_then_its_operation() -> None:
    torch.manual_seed(0)
    cell = GraphCell([OPERATIONS[0], OPERATIONS[1], OPERATIONS[0]], complete(3), 4).eval()
    x = torch.randn(2, 4, 6, 6)
    first = cell.nodes["0"](x)
    second = cell.nodes["1"](first)
    torch.testing.assert_close(cell(x), cell.nodes["2"](first + second))


def test_without_a_way_the_output_is_zero() -> None:
    cell = GraphCell([OPERATIONS[0]] * 5, [(0, 1), (1, 2), (3, 4)], 4)
    assert not list(cell.parameters())
    assert not cell(torch.ones(1, 4, 3, 3)).any()


def test_its_size_is_counted_by_hand() -> None:
    one = Architecture("graph_5", {"operations": [OPERATIONS[1]] * 5, "edges": [[0, 4]]}, {"channels": 4})
    network = build(one, 10, NetworkSettings())
    nodes = [2 * (width**2 + 2 * width) for width in (4, 8, 16)]
    stem, halvings, head = 27 * 4 + 8, (4 * 8 + 16) + (8 * 16 + 32), 16 * 10 + 10
    assert count_params(network) == sum(nodes) + stem + halvings + head
    assert SPACE.counts(one, 10, NetworkSettings()).macs == count_macs(network, (3, 32, 32))


@pytest.mark.parametrize(
    ("genotype", "said"),
    [
        ({"operations": [OPERATIONS[0]] * 4, "edges": []}, "has 5 nodes"),
        ({"operations": ["conv"] * 5, "edges": []}, "operations, node 0: unknown 'conv'"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [[1, 0]]}, r"edges: \[1, 0\]; an edge is \[source, target\]"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [[0, 5]]}, r"edges: \[0, 5\]"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [[0, 2], [0, 1]]}, "by target, then by source"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [[0, 1], [0, 1]]}, "each stands once"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": 3}, "edges: 3"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [3]}, "edges: 3"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [[[], 1]]}, "edges: "),
        ({"operations": [OPERATIONS[0]] * 5}, "edges: None"),
        ({"operations": [OPERATIONS[0]] * 5, "edges": [], "nodes": 5}, "unknown key"),
    ],
)
def test_what_is_no_graph_is_refused(genotype: dict[str, Any], said: str) -> None:
    with pytest.raises(ArchitectureError, match=said):
        SPACE.validate(Architecture("graph_5", genotype))


def test_a_graph_is_drawn_at_the_size_of_another() -> None:
    settings, drawn = NetworkSettings(), set()
    target = SPACE.counts(SPACE.reference(), 10, settings).params * 0.8
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        match = SizeMatch("params", target, 0.05, scale={"channels": 16})
        found = SPACE.sample_at_size(generator, match, 10, settings, 32)
        assert 0.95 * target <= SPACE.counts(found, 10, settings).params <= target
        edges = [tuple(edge) for edge in found.genotype["edges"]]
        assert list(live(edges, 5)) == edges
        assert found.scale == {"channels": 16}
        assert found.provenance["sizes"]["params"] == count_params(build(found, 10, settings))
        drawn.add(found.digest)
    assert len(drawn) > 1
    with pytest.raises(ArchitectureError, match="2000 random graphs of graph_5 came no nearer"):
        SPACE.sample_at_size(generator, SizeMatch("params", 10.0, 0.01), 10, settings, 32)
    with pytest.raises(ArchitectureError, match="none are in graph_5"):
        SPACE.sample_at_size(generator, SizeMatch("params", target, 0.01, masked=3), 10, settings, 32)
