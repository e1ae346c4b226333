"""ENAS: what a step trains, how the controller learns, what the answer is; its schedules of the learning rate."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from methods.base import MethodError
from methods.gradient.enas import ENAS, ENASOptions
from methods.parts.controller_learning import ControllerLearning
from methods.parts.samplers.controller import Controller
from methods.parts.schedule import restarts
from tests.methods.small_searches import batch, begun


def search(**changes: Any) -> ENAS:
    made: ENAS = begun(ENAS, **changes)
    return made


def learner(*sizes: int, aggregate: int = 1, **changes: Any) -> ControllerLearning:
    torch.manual_seed(0)
    controller = Controller(sizes, sizes, torch.Generator().manual_seed(4), units=8)
    given = {"lr": 0.02, "aggregate": aggregate, "entropy_weight": 0.0, "decay": 0.9, **changes}
    return ControllerLearning(controller, *given.values())


@pytest.mark.parametrize("space", ["darts_cell", "nasbench201"])
def test_a_step_trains_the_weights_of_one_path_and_the_controller(space: str) -> None:
    cells = {"cells": 6, "cells_per_stage": 1} if space == "nasbench201" else {}
    method = search(space=space, aggregate=8, controller_samples=8, **cells)
    before = {name: value.clone() for name, value in method.supernet.named_parameters()}
    running = {name: value.clone() for name, value in method.shared.named_buffers()}
    method.step(batch(), batch(1))
    moved = {name for name, value in method.supernet.named_parameters() if not torch.equal(value, before[name])}
    candidates = {name for name in before if ".inside.edges." in name}
    assert candidates - moved
    assert moved & candidates
    assert any(name.startswith("controller.") for name in moved)
    assert all(name in moved for name in before if "classifier" in name)
    assert sum(map(sum, method.counts.updates[""])) == len(method.space.decisions())
    assert len(method.last) == 9
    changed = {name for name, value in method.shared.named_buffers() if not torch.equal(value, running[name])}
    assert any("running_mean" in name for name in changed)


def test_rewards_leave_weights_and_statistics_alone() -> None:
    method = search()
    before = {name: value.clone() for name, value in method.shared.state_dict().items()}
    sums = method._reward(batch())
    assert int(sums["valid_count"]) == 4
    assert all(torch.equal(value, before[name]) for name, value in method.shared.state_dict().items())
    assert method.last[-1][0] == float(sums["valid_correct"]) / 4


def test_the_answer_is_the_best_of_the_last_draws() -> None:
    method = search(final_samples=2)
    sizes = [len(decision.options) for decision in method.space.decisions()]
    codes = [tuple(min(option, size - 1) for size in sizes) for option in range(3)]
    method.last.clear()
    method.last.extend([(0.9, codes[0]), (0.2, codes[1]), (0.5, codes[2])])
    assert method.space.encode(method.architecture()) == codes[2]
    assert method.architecture().provenance["batch_accuracy"] == 0.5


def test_with_a_constant_reward_the_policy_does_not_drift() -> None:
    """The baseline is the reward from the first draw on."""
    learning = learner(3, 4)
    before = [parameter.clone() for parameter in learning.controller.parameters()]
    for _ in range(20):
        learning.learn(learning.controller(), torch.tensor(0.7))
    assert learning.baseline is not None
    assert learning.baseline.item() == pytest.approx(0.7)
    assert all(torch.equal(one, other) for one, other in zip(before, learning.controller.parameters(), strict=True))


def test_it_finds_the_best_of_a_table() -> None:
    """Three nodes with an oracle of rewards: in under 500 draws the policy prefers the best."""
    learning = learner(3, 3, 3)
    best = (2, 0, 1)
    for _ in range(500):
        draw = learning.controller()
        learning.learn(draw, torch.tensor(sum(a == b for a, b in zip(draw.code, best, strict=True)) / 3))
    with torch.no_grad():
        codes = [learning.controller().code for _ in range(50)]
    assert codes.count(best) > 25


def test_the_gradient_is_reinforces_mean_over_the_draws() -> None:
    learning = learner(2, 3, aggregate=3, lr=0.0, entropy_weight=0.1)
    parameters = list(learning.controller.parameters())
    wanted = [torch.zeros_like(each) for each in parameters]
    baseline = None
    for reward in (0.5, 0.25):
        draw = learning.controller()
        value = reward + 0.1 * float(draw.entropies.sum())
        baseline = value if baseline is None else baseline
        loss = -draw.log_probability * (value - baseline) / 3
        own = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)  # nothing follows the last
        wanted = [a if b is None else a + b for a, b in zip(wanted, own, strict=True)]
        baseline += 0.1 * (value - baseline)
        learning.learn(draw, torch.tensor(reward))
    for parameter, gradient in zip(parameters, wanted, strict=True):
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-7)
    learning.learn(learning.controller(), torch.tensor(0.0))
    assert all(parameter.grad is None for parameter in parameters)  # stepped


def test_draws_that_are_not_stepped_by_yet_are_part_of_the_state() -> None:
    learning = learner(2, 3, aggregate=3)
    for reward in (0.1, 0.9, 0.4, 0.8):
        learning.learn(learning.controller(), torch.tensor(reward))
    again = learner(2, 3, aggregate=3)
    again.controller.load_state_dict(learning.controller.state_dict())
    again.controller.generator.set_state(learning.controller.generator.get_state())
    again.load_state_dict(copy.deepcopy(learning.state_dict()))
    for reward in (0.3, 0.6, 0.2):
        for each in (learning, again):
            each.learn(each.controller(), torch.tensor(reward))
    assert again.end_epoch() == learning.end_epoch()
    pairs = zip(learning.controller.parameters(), again.controller.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_schedules_of_the_learning_rate() -> None:
    """Released: restarts of 10, 20, 40 and 80 epochs; for NAS-Bench-201 a cosine of 10 epochs that comes back."""
    assert [restarts(epoch, 10) for epoch in (0, 9, 10, 29, 30, 149)] == [
        (0, 10), (9, 10), (0, 20), (19, 20), (0, 40), (79, 80)
    ]  # fmt: skip
    o = ENASOptions()
    assert [o.lr_at(epoch) for epoch in (0, 10, 30, 70)] == [0.05] * 4
    there_and_back = ENASOptions(lr_schedule="oscillating")
    assert there_and_back.lr_at(10) == pytest.approx(5e-4)
    assert there_and_back.lr_at(20) == pytest.approx(0.05)
    assert ENASOptions(lr_schedule="cosine").lr_at(75) == pytest.approx((0.05 + 5e-4) / 2)


def test_a_space_without_shared_weights_is_refused() -> None:
    with pytest.raises(MethodError, match="no supernet"):
        ENASOptions(space="vgg")
    with pytest.raises(MethodError, match="leave cells at 6"):
        ENASOptions(space="nasbench201", cells=8)
