"""The depth of stages as a loss (Hs-DAS): the recursion, what it is of discrete graphs, and where it leads alone."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from torch import Tensor

from methods.gradient.hdas.depth import (
    depths,
    mean_depth,
    released_depth,
    released_depth_with_ends,
    stage_depths,
)
from methods.parts.discretiser import top_two_edges
from methods.parts.gates import Gates, Logits, soft
from methods.spaces.stages.graph import mean_paths, stage_topology, written

SIX = stage_topology(6)


def gates(alpha: Tensor) -> Gates:
    return soft(Logits(alpha, torch.ones_like(alpha[:, 0])))


def graph_gates(kept: set[tuple[int, int]]) -> Gates:
    """Skip connections on some edges, nothing on the others."""
    options = torch.tensor([[0.0, 0.0, 1.0, 0.0] if edge in kept else [0.0, 0.0, 0.0, 1.0] for edge in SIX.edges])
    return Gates(options, torch.ones(len(options)))


@cache
def all_graphs() -> list[tuple[tuple[int, int], ...]]:
    """Every choice of two of the last three states for each of six cells: 3^5."""
    nodes = [list(itertools.combinations(range(max(0, node - 3), node), 2)) for node in range(2, 8)]
    pairs = itertools.product(*nodes)
    return [tuple((source, node) for node, pair in enumerate(each, 2) for source in pair) for each in pairs]


def last_path(kept: tuple[tuple[int, int], ...]) -> float:
    return mean_paths(written([["skip_connect", *edge] for edge in kept]))[-1]


def test_the_recursion_by_hand() -> None:
    """All weight on the nearest predecessor; then two cells with numbers of their own."""
    nearest = torch.tensor([float(source == node - 1) for source, node in SIX.edges])
    assert torch.stack(depths(nearest, SIX, [1] * 6)).tolist() == [1, 2, 3, 4, 5, 6]
    found = torch.stack(depths(nearest, SIX, [2] + [3] * 5))
    expected = [1 / 2, (1 / 2 + 1) / 3]
    for _ in range(4):
        expected.append((expected[-1] + 1) / 3)
    torch.testing.assert_close(found, torch.tensor(expected))
    two = stage_topology(2)
    weights = torch.tensor([0.2, 0.6, 0.1, 0.3, 0.5])
    first = (0.2 + 0.6) / 2
    second = (0.1 + 0.3 + 0.5 * (first + 1)) / 3
    torch.testing.assert_close(torch.stack(depths(weights, two, [2, 3])), torch.tensor([first, second]))


def test_of_a_discrete_graph_it_is_the_mean_length_of_its_paths() -> None:
    for kept in all_graphs()[::20]:
        edges = [["skip_connect", *edge] for edge in kept]
        found = torch.stack(stage_depths(graph_gates(set(kept)), SIX))
        torch.testing.assert_close(found, torch.tensor(mean_paths(written(edges))))


@pytest.mark.parametrize(("sign", "released"), [(1, False), (-1, False), (1, True)])
def test_alone_it_leads_to_the_deepest_graph_and_its_negation_to_the_shallowest(sign: int, released: bool) -> None:
    """Mean path to the last of six cells: 4.219 at most (Adam as in the search, at ten times its rate).

    As released, the negation does not: raw weights become negative, and products of them turn.
    """
    paths = [last_path(kept) for kept in all_graphs()]
    assert max(paths) == 4.21875
    torch.manual_seed(5)
    alpha = (1e-3 * torch.randn(len(SIX.edges), 4)).requires_grad_()
    adam = torch.optim.Adam([alpha], 3e-3, betas=(0.5, 0.999), weight_decay=1e-3)
    for _ in range(150):
        depth = released_depth(alpha, SIX) if released else mean_depth(stage_depths(gates(alpha), SIX))
        adam.zero_grad()
        (-sign * depth).backward()
        adam.step()
    ranked = Gates(alpha.detach(), torch.ones(len(alpha))) if released else gates(alpha.detach())
    found = mean_paths(written(top_two_edges(ranked, SIX)["edges"]))[-1]
    assert found == (max(paths) if sign > 0 else min(paths))


def test_an_open_end_has_the_depth_expected_over_its_positions() -> None:
    of_cells = [torch.tensor(float(d)) for d in (1, 2, 4, 6)]
    ends = torch.tensor([0.25, 0.5, 0.25])  # after two, three or four cells
    assert float(mean_depth(of_cells, ends)) == pytest.approx(0.25 * 1.5 + 0.5 * (7 / 3) + 0.25 * (13 / 4))
    assert mean_depth(of_cells) == 13 / 4


def test_as_released_each_operation_has_a_recursion_of_its_own() -> None:
    three, alpha = stage_topology(3), torch.randn(8, 4, generator=torch.Generator().manual_seed(6))
    total = 0.0
    for column in range(4):
        a = alpha[:, column].tolist()
        first = (a[0] + a[1]) / 2
        second = (a[2] + a[3] + a[4] * (first + 1)) / 3
        third = (a[5] + a[6] * (first + 1) + a[7] * (second + 1)) / 3
        total += (first + second + third) / 3
    assert released_depth(alpha, three).item() == pytest.approx(total, rel=1e-5)
    ends = torch.tensor([0.7, 0.3])
    best = alpha[:, :3].amax(dim=-1)
    one, two, last = (best[rows].softmax(dim=0).tolist() for rows in (slice(0, 2), slice(2, 5), slice(5, 8)))
    first = sum(one) / 2
    second = (two[0] + two[1] + two[2] * (first + 1)) / 3 * (1 + 1 * 0.7)
    third = (last[0] + last[1] * (first + 1) + last[2] * (second + 1)) / 3 * (1 + 2 * 0.3)
    expected = (first + second + third) / 3
    assert released_depth_with_ends(alpha, three, ends).item() == pytest.approx(expected, rel=1e-5)
