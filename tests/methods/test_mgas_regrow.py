"""Regrowing: who may return, how many, and how often."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from methods.gradient.mgas.regrow import draw, importance, regrow
from tests.methods.mgas_nets import images, remove_at_random, scatter_parameters, tiny_net


def test_importance_by_hand():
    """Two cells; cell 0 lives on two operations of type 0, cell 1 on one of type 0 and two of type 1."""
    committed = torch.zeros(2, 14, 7, dtype=torch.bool)
    committed[0, 0, 0] = committed[0, 2, 0] = committed[1, 0, 0] = committed[1, 0, 1] = committed[1, 3, 1] = True
    gates, momentum = torch.zeros(2, 14, 7), torch.zeros(2, 14, 7)
    gates[0, 0, 0], gates[0, 2, 0], gates[1, 0, 0], gates[1, 0, 1], gates[1, 3, 1] = 0.2, 0.4, 0.6, 0.1, 0.3
    momentum[0, 0, 0], momentum[0, 2, 0], momentum[1, 0, 0], momentum[1, 0, 1] = -1.0, 3.0, 1.0, -2.0
    # cell 0: means .3 and 2 for type 0, half of them for the six others; cell 1: .6, .2, .1 x 5 and 1, 1, .5 x 5
    types0 = torch.tensor([0.25] + [0.125] * 6, dtype=torch.float64)
    types1 = 0.5 * torch.tensor([0.6, 0.2] + [0.1] * 5) / 1.3 + 0.5 * torch.tensor([1.0, 1.0] + [0.5] * 5) / 4.5
    growth, magnitude = torch.tensor([8.0 / 2, 4.5 / 3]), torch.tensor([1.2 / 2, 1.3 / 3])
    cells = 0.5 * growth / growth.sum() + 0.5 * magnitude / magnitude.sum()
    expected = torch.stack([cells[0] * types0, cells[1] * types1])
    torch.testing.assert_close(importance(gates, momentum, committed), expected.double(), rtol=1e-5, atol=0)


def test_draws_follow_the_importance():
    weights = torch.rand(3, 7, generator=torch.Generator().manual_seed(0))
    weights[1, 4] = 0.0
    removed = torch.ones(3, 14, 7, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    counts, edges = torch.zeros(3, 7), torch.zeros(14)
    for _ in range(1000):
        [(cell, (edge, op))] = draw(weights, removed, 1, generator)
        counts[cell, op] += 1
        edges[edge] += 1
    assert counts[1, 4] == 0
    positive = weights.flatten() > 0
    expected = 1000 * (weights / weights.sum()).flatten()[positive]
    assert (
        chisquare(counts.flatten()[positive], expected.double() * (1000 / float(expected.double().sum()))).pvalue > 1e-3
    )
    assert chisquare(edges).pvalue > 1e-3


@pytest.mark.parametrize(("saturated", "number"), [("redraw", 10), ("drop", 4)])
def test_saturated_types(saturated: str, number: int):
    weights = torch.zeros(1, 7)
    weights[0, 0], weights[0, 1] = 100.0, 1e-6
    removed = torch.zeros(1, 14, 7, dtype=torch.bool)
    removed[0, :4, 0] = removed[0, :8, 1] = True
    picks = draw(weights, removed, 10, torch.Generator().manual_seed(0), saturated)
    assert len(picks) == number == len(set(picks))
    assert {edge for _, (edge, op) in picks if op == 0} == {0, 1, 2, 3}


def test_never_more_than_there_are():
    removed = torch.zeros(2, 14, 7, dtype=torch.bool)
    removed[1, 3, 2] = True
    assert draw(torch.ones(2, 7), removed, 5, torch.Generator().manual_seed(0)) == [(1, (3, 2))]


def test_regrown_operations_are_fresh_and_others_untouched():
    net = tiny_net(cells=5)
    scatter_parameters(net)
    remove_at_random(net, 0.7)
    executed = net.executed(1)
    before = {cell.index: cell.operation_mask.clone() for cell in net.executed(2)}
    alphas = {cell.index: cell.alpha.detach().clone() for cell in net.executed(2)}
    kept = {name: p.detach().clone() for name, p in net.named_parameters()}
    momentum = torch.rand(len(executed), 14, 7)
    picks = regrow(executed, momentum, 20, torch.Generator().manual_seed(3), "redraw")
    assert len(picks) == 20
    for cell in net.executed(2):
        mine = {slot for index, slot in picks if index == cell.index}
        assert cell.index < len(executed) or not mine
        after = before[cell.index].clone()
        for slot in mine:
            assert not before[cell.index][slot]
            after[slot] = True
            module = cell.operation(slot)
            if module is not None:
                assert all(bool(buffer.all()) for name, buffer in module.named_buffers() if name.endswith("mask"))
                assert all(not p.any() for name, p in module.named_parameters() if name.endswith("kappa"))
        assert torch.equal(cell.operation_mask, after)
        assert torch.equal(cell.alpha, alphas[cell.index])
    parameters = dict(net.named_parameters())
    assert all(torch.equal(parameters[name], value) for name, value in kept.items())
    assert len(parameters) > len(kept)
    net.train()
    assert net(images()[0]).isfinite().all()
