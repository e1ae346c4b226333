"""Masks of operations, filters and weights: the guard, toggling between commits, permanence after them."""

from __future__ import annotations

import pytest
import torch

from methods.gradient.mgas.cells.topology import ALL_SLOTS, node_edges
from methods.gradient.mgas.discretize import Discretisation
from methods.spaces.cell.topology import TOPOLOGY
from tests.methods.mgas_nets import images, scatter_parameters, tiny_net
from tests.oracles.mgas_supernet import last_only_guard, strongest_guard

NODES = node_edges(torch.device("cpu"))


def random_case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    committed = torch.rand(1, 14, 7, generator=generator) < (0.9, 0.4, 0.1)[seed % 3]
    for edge in (0, 2, 5, 9):  # every node has one operation at least
        committed[0, edge, seed % 7] = True
    p = (torch.rand(1, 14, 7, generator=generator) * 0.98 + 0.01) * committed
    t = torch.rand(1, 14, 7, generator=generator) + (seed % 5) * 0.2
    return p, committed, t


@pytest.mark.parametrize("seed", range(60))
def test_guard_equals_the_sequential_scan(seed: int):
    p, committed, t = random_case(seed)
    last, _ = last_only_guard(p[0], t[0], committed[0])
    assert torch.equal(Discretisation(guard="last").operation_masks(p, committed, t, NODES)[0] > 0, last)
    strongest = strongest_guard(p[0], t[0], committed[0])
    assert torch.equal(Discretisation(guard="strongest").operation_masks(p, committed, t, NODES)[0] > 0, strongest)


@pytest.mark.parametrize("guard", ["last", "strongest"])
@pytest.mark.parametrize("threshold", [-5.0, 0.5, 1.0, 50.0, float("inf")])
def test_every_node_keeps_an_operation_for_any_threshold(guard: str, threshold: float):
    p, committed, _ = random_case(2)
    masks = Discretisation(guard=guard).operation_masks(p, committed, torch.full_like(p, threshold), NODES)[0] > 0
    for node in range(2, 6):
        assert any(masks[edge].any() for edge in range(14) if TOPOLOGY.edges[edge][1] == node)
    assert not bool((masks & ~committed[0]).any())


def test_a_guarded_operation_gives_its_threshold_no_gradient():
    p = torch.full((1, 14, 7), 0.5)
    p[0, 13, 3] = 0.6
    t = torch.full_like(p, 0.9).requires_grad_()
    committed = torch.ones_like(p, dtype=torch.bool)
    masks = Discretisation().operation_masks(p, committed, t, NODES)
    assert masks[0, 13, 3] == 1
    masks.sum().backward()
    assert t.grad[0, 13, 3] == 0
    assert int((t.grad != 0).sum()) == 98 - 4


def test_strong_operation_is_lost_by_the_published_guard_and_kept_by_ours():
    p = torch.full((1, 14, 7), 0.5)
    p[0, 0, 1] = 0.993
    t = torch.full_like(p, 0.999)
    committed = torch.ones_like(p, dtype=torch.bool)
    last = Discretisation(guard="last").operation_masks(p, committed, t, NODES)[0]
    assert [tuple(slot) for slot in last.nonzero().tolist()] == [(1, 6), (4, 6), (8, 6), (13, 6)]
    assert Discretisation(guard="strongest").operation_masks(p, committed, t, NODES)[0, 0, 1] == 1


def test_units_toggle_between_commits_and_stay_removed_after_one():
    net = tiny_net()
    cell = net.cell(0)
    x, _ = images()
    net.train()

    def run_with(threshold: float) -> None:
        with torch.no_grad():
            cell.t_operation[0, 1] = cell.t_filter[0, 1] = threshold
            cell.t_weight[0, 1] = 0.2 * threshold
        net(x)

    committed = cell.operation_mask.clone(), cell.filters.mask.clone(), cell.weights.mask.clone()
    run_with(0.7)
    assert not cell.operation_now[0, 1]
    assert int(cell.filter_now.sum()) < len(cell.filter_now)
    assert int(cell.weight_now.sum()) < len(cell.weight_now)
    assert torch.equal(cell.operation_mask, committed[0])
    assert torch.equal(cell.filters.mask, committed[1])
    run_with(0.0)
    assert cell.operation_now.all()
    assert cell.filter_now.all()
    run_with(0.7)
    removed = cell.failing()
    cell.commit_units()
    cell.commit_operations(removed)
    assert removed == [(0, 1)]
    run_with(0.0)
    assert not cell.operation_now[0, 1]
    assert not cell.operation_mask[0, 1]
    assert cell.operation((0, 1)) is None


def test_commit_only_removes_and_is_idempotent():
    net = tiny_net()
    scatter_parameters(net)
    net.train()
    net(images()[0])
    for cell in net.executed(2):
        before = cell.operation_mask.clone(), cell.filters.mask.clone(), cell.weights.mask.clone()
        cell.commit_units()
        cell.rebuild()
        assert bool((cell.filters.mask <= before[1]).all())
        assert bool((cell.weights.mask <= before[2]).all())
        assert int(cell.weights.mask.sum()) < int(before[2].sum())
        masks = cell.filters.mask.clone(), cell.weights.mask.clone()
        cell.commit_units()
        cell.rebuild()
        assert torch.equal(cell.filters.mask, masks[0])
        assert torch.equal(cell.weights.mask, masks[1])
        cell.commit_operations(cell.failing())
        assert bool((cell.operation_mask <= before[0]).all())
        assert cell.failing() == []


def test_an_operation_without_filters_goes_but_not_the_last_of_a_node():
    net = tiny_net()
    cell = net.cell(0)  # no stride-2 skips, which obey t_input too
    net.train()
    only = (0, 1)
    cell.commit_operations([slot for slot in ALL_SLOTS if TOPOLOGY.edges[slot[0]][1] == 2 and slot != only])
    with torch.no_grad():
        cell.t_filter[:3] = 0.9  # all filters of edges 0 to 2 fall
        cell.t_input[0] = 0.9  # and all of the first input
    net(images()[0])
    empty = cell.commit_units()
    assert empty == {(2, op) for op in (1, 2, 3, 4)}
    cell.rebuild()
    assert cell.operation((2, 1)).norms[0].mask.all()  # it may stay until the next commit
    survivor = cell.operation(only)
    assert all(norm.mask.all() for norm in survivor.norms)
    assert cell.preprocess0.norm.mask.all()


@pytest.mark.parametrize("levels", [("operation",), ("operation", "filter"), ("operation", "filter", "weight")])
def test_units_of_other_granularities_are_always_on(levels: tuple[str, ...]):
    net = tiny_net(levels=levels)
    with torch.no_grad():
        for cell in net.executed(2):
            cell.t_filter.fill_(0.9)
            cell.t_input.fill_(0.9)
            cell.t_weight.fill_(0.2)
    net.train()
    net(images()[0])
    cell = net.cell(0)
    assert bool(cell.filter_now.all()) == ("filter" not in levels)
    assert bool(cell.weight_now.all()) == ("weight" not in levels)


def test_fixed_ratios_keep_their_shares():
    net = tiny_net(channels=8, ratios={"operation": 0.5, "filter": 0.75, "weight": 0.9})
    scatter_parameters(net, committed=False)
    net.train()
    net(images()[0])
    for cell in net.executed(2):
        assert int(cell.operation_now.sum()) == 49
        assert int(cell.filter_now.sum()) / len(cell.filter_now) == pytest.approx(0.75, abs=0.02)
        assert int(cell.weight_now.sum()) / len(cell.weight_now) == pytest.approx(0.9, abs=0.01)
