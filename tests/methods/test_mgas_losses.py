"""The regularisers and the controller of lambda, with exact values."""

from __future__ import annotations

import math

import pytest
import torch

from methods.gradient.mgas.cells.topology import ALL_SLOTS, node_edges, published_count_edges
from methods.gradient.mgas.controller import LambdaRule, LambdaState, next_lambda
from methods.gradient.mgas.losses import l_cost, l_thre, operation_costs
from tests.methods.mgas_nets import images, scatter_parameters, tiny_net
from tests.oracles import mgas_supernet as oracle

NODES = node_edges(torch.device("cpu"))
COUNTED = {"own": None, "published": published_count_edges(torch.device("cpu"))}


def test_l_thre_is_212_per_cell_and_its_gradient_minus_one():
    net = tiny_net()
    cells = net.executed(2)
    loss = l_thre(cells)
    assert loss.item() == 212 * len(cells)
    loss.backward()
    for cell in cells:
        for name in ("t_operation", "t_filter", "t_weight", "t_input"):
            assert bool((getattr(cell, name).grad == -1).all())


def test_l_thre_counts_living_operations_and_searched_granularities():
    net = tiny_net(levels=("operation", "filter"))
    cell = net.cell(0)
    assert l_thre([cell]).item() == 98 + 56 + 2
    cell.commit_operations([(0, 1), (0, 5)])  # a convolution and a pool
    assert l_thre([cell]).item() == 96 + 55 + 2


def test_a_threshold_that_ran_away_leaves_the_loss_a_number():
    net = tiny_net()
    cell = net.cell(0)
    with torch.no_grad():
        cell.t_input[0] = -93.0  # exp(93) is more than fp32 holds
    loss = 0.0 * l_thre([cell])  # lambda is 0 while a search is warming up
    loss.backward()
    assert loss.item() == 0.0
    assert all(bool(torch.isfinite(p.grad).all()) for p in cell.parameters() if p.grad is not None)
    assert cell.t_input.grad is not None


@pytest.mark.parametrize(("node_count", "expected"), [("own", 98 * math.log(2)), ("published", 56.3795)])
def test_l_cost_per_cell_in_the_beginning(node_count: str, expected: float):
    alpha = torch.zeros(3, 14, 7, requires_grad=True)
    gates = alpha.sigmoid()
    loss = l_cost(gates, torch.ones_like(gates), NODES, counted=COUNTED[node_count])
    assert loss.item() / 3 == pytest.approx(expected, abs=1e-4)
    loss.backward()
    assert float(alpha.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("node_count", ["own", "published"])
def test_l_cost_equals_the_node_by_node_sum(node_count: str):
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(1, 14, 7, generator=generator).requires_grad_()
    m = (torch.rand(1, 14, 7, generator=generator) > 0.4).float()
    found = l_cost(p, m, NODES, counted=COUNTED[node_count])
    expected = oracle.cost(p[0], m[0], node_count == "published")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, p), torch.autograd.grad(expected, p))


def test_l_cost_ignores_a_common_factor():
    p = torch.rand(2, 14, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(l_cost(p, torch.ones_like(p), NODES), l_cost(0.1 * p, torch.ones_like(p), NODES))


def test_operation_costs_and_their_gradients_equal_the_filter_by_filter_sum():
    net = tiny_net()
    scatter_parameters(net)
    net.train()
    for cell in net.executed(2):
        cell.keep_units = True
    net(images()[0])
    cell = net.cell(1)
    found = operation_costs([cell])[0]
    expected = torch.stack([oracle.operation_cost(cell, *slot) for slot in ALL_SLOTS]).view(14, 7)
    torch.testing.assert_close(found, expected)
    names = [name for name, _ in cell.named_parameters() if name.startswith("t_") or name.endswith("kappa")]
    inputs = [cell.get_parameter(name) for name in names] + [conv.weight for conv in cell.weights.convs]
    left = torch.autograd.grad((1e6 * found).sum(), inputs, allow_unused=True)
    right = torch.autograd.grad((1e6 * expected).sum(), inputs, allow_unused=True)
    for a, b in zip(left, right, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)
    pushed = dict(zip(names, left, strict=False))
    assert float(pushed["t_filter"].abs().sum()) > 0
    assert float(pushed["t_weight"].abs().sum()) > 0


def test_lambda_grows_while_nothing_is_removed():
    state, path = LambdaState(), []
    for _ in range(6):
        state = next_lambda(state, 0, cross_entropy=2.0, weighted_cost=0.1, rule=LambdaRule())
        path.append(state.value)
    assert path == pytest.approx([4e-5, 2e-4, 8.4e-4, 3.4e-3, 1.364e-2, 5.46e-2])


def test_lambda_halves_after_many_removals_and_rests_between():
    state = LambdaState(0.01, 6.4e-4)
    assert next_lambda(state, 48, 2.0, 0.1, LambdaRule()) == LambdaState(0.005, 1e-5)
    for removed in (24, 47):
        assert next_lambda(state, removed, 2.0, 0.1, LambdaRule()) == state
    assert next_lambda(state, 23, 2.0, 0.1, LambdaRule()).value > 0.01


@pytest.mark.parametrize(("ratio", "cross_entropy", "grows"), [(1.0, 0.9, False), (1.0, 1.1, True), (0.5, 0.9, True)])
def test_lambda_is_capped_when_the_cost_outweighs_cross_entropy(ratio: float, cross_entropy: float, grows: bool):
    state = LambdaState(0.01, 1e-3)
    found = next_lambda(state, 0, cross_entropy, 1.0, LambdaRule(ratio=ratio))
    assert (found.value > 0.01) == grows
    assert found.delta == (4e-3 if grows else 1e-3)  # at the cap the step does not grow
