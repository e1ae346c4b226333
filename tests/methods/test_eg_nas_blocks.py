"""EG-NAS' blocks: the enhanced gradient on problems whose answer is known, and a sweep over its weight."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from methods.base import MethodError
from methods.gradient.darts import DARTS, DARTSOptions
from methods.gradient.eg_nas.blocks import EGBlocks, EGBlocksOptions
from methods.parts.costs.balanced import balanced
from tests.contracts.test_gradient_searches import batch
from tests.contracts.tiny import CONTEXT

TINY = {"epochs": 1, "channels": 4, "cells": 3, "batch_size": 4, "arch_lr": 0.05}


def length(gradients: list[torch.Tensor]) -> float:
    return float(torch.cat([each.flatten() for each in gradients]).norm())


def searched(method: EGBlocks | DARTS, steps: int = 3) -> EGBlocks | DARTS:
    """On random images, the same in every epoch."""
    method.begin(steps)
    for epoch in range(method.epochs):
        method.on_epoch_start(epoch)
        for number in range(steps):
            method.step(batch(method, number, 0), batch(method, number, 1))
        method.on_epoch_end(epoch)
    return method


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_the_cost_has_its_share_of_the_length_in_any_unit(unit: float) -> None:
    """By hand: lengths over all parameters together; one that the cost does not know keeps the task's gradient."""
    task = [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]
    cost = [torch.tensor([0.0, 2.0 * unit]), None]
    found = balanced(task, cost, 0.5)
    assert torch.allclose(found[0], torch.tensor([3.0, 0.5 * 5.0]))
    assert torch.equal(found[1], task[1])
    added = [one - other for one, other in zip(found, task, strict=True)]
    assert length(added) == pytest.approx(0.5 * length(task))


def test_without_weight_or_cost_it_is_the_task_s_gradient() -> None:
    task = [torch.randn(4), torch.randn(2, 3)]
    for weight, cost in ((0.0, [torch.ones(4), torch.ones(2, 3)]), (2.0, [torch.zeros(4), torch.zeros(2, 3)])):
        assert all(torch.equal(one, other) for one, other in zip(balanced(task, cost, weight), task, strict=True))


def test_it_goes_to_the_cheaper_of_two_equally_good_options() -> None:
    """A toy: the task wants options 0 and 1 alike and not 2; by descent the cheaper of the two wins."""
    price = torch.tensor([5.0, 1.0, 0.1])
    for weight, best in ((0.0, None), (0.3, 1)):
        alpha = torch.zeros(3, requires_grad=True)
        for _ in range(200):
            share = alpha.softmax(0)
            task = torch.autograd.grad((share[2] - 0.01).square() * 10, alpha, retain_graph=True)
            cost = torch.autograd.grad((share * price).sum(), alpha)
            with torch.no_grad():
                alpha -= 0.5 * balanced(task, cost, weight)[0]
        share = alpha.detach().softmax(0)
        if best is None:
            assert share[0] == pytest.approx(float(share[1]), abs=1e-5)
        assert int(share.argmax()) == best or best is None
        assert float(share[2]) < 1 / 3


def test_every_block_is_that_of_a_search_of_its_own() -> None:
    """A sweep begins each time as a new search does: same weights, same parameters, no momentum; lambda 0 is DARTS."""
    torch.manual_seed(1)
    whole = searched(EGBlocks(EGBlocksOptions(**TINY, lambdas=(0.0, 1.0)), CONTEXT))
    torch.manual_seed(1)
    plain = searched(DARTS(DARTSOptions(**TINY), CONTEXT))
    torch.manual_seed(1)
    heavy = searched(EGBlocks(EGBlocksOptions(**TINY, lambdas=(1.0,)), CONTEXT))
    assert whole.family() == [plain.architecture(), heavy.architecture()]
    assert [block.provenance["lambda"] for block in whole.family()] == [0.0, 1.0]
    state, other = whole.supernet.state_dict(), heavy.supernet.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_a_larger_weight_lowers_the_expected_size() -> None:
    sizes = []
    for weight in (0.0, 1.0, 10.0):
        torch.manual_seed(1)
        method = searched(EGBlocks(EGBlocksOptions(**TINY, lambdas=(weight,)), CONTEXT), steps=6)
        sizes.append(method.objective.watched(method.gates())["cost/expected"])
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_sweep_that_cannot_be_is_refused() -> None:
    with pytest.raises(MethodError, match="lambdas has 0 weights"):
        EGBlocksOptions(lambdas=())
    with pytest.raises(MethodError, match="lambdas"):
        EGBlocksOptions(lambdas=(-1.0,))
    assert replace(EGBlocksOptions(), epochs=7).lambdas[0] == 0.0
