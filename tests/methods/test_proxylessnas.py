"""ProxylessNAS: when the architecture learns, by which gradients, and what its updates leave alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from methods.base import MethodError
from methods.gradient.proxyless_schedule import Proxyless
from methods.gradient.proxylessnas import ProxylessNAS, ProxylessNASOptions
from methods.gradient.proxylessnas_r import ProxylessNASR, ProxylessNASROptions
from methods.parts.executors.choice import Choice
from methods.parts.gates import Gates
from methods.spaces.operations import NONE, OPERATIONS
from tests.methods.small_searches import batch, begun

SMALL: dict[str, Any] = {
    "channels": 4, "cells": 3, "batch_size": 4, "epochs": 6, "weight_epochs": 2, "arch_start_epoch": 3, "arch_every": 2
}  # fmt: skip


def search(cls: type[Proxyless] = ProxylessNAS, epoch: int = 3, **options: Any) -> Any:
    return begun(cls, epoch, **{**SMALL, **options})


def spied(method: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Gates]]:
    """The paths of steps of the architecture."""
    seen: list[dict[str, Gates]] = []
    learn = method.learn
    monkeypatch.setattr(method, "learn", lambda paths, gradients: (seen.extend(paths), learn(paths, gradients)))
    return seen


def test_the_defaults_are_the_released_settings() -> None:
    """mit-han-lab/proxylessnas, search/imagenet_arch_search.py and search/nas_manager.py."""
    for o in (ProxylessNASOptions(), ProxylessNASROptions()):
        assert (o.weight_epochs, o.weight_epochs_lr, o.epochs - 40, o.arch_start_epoch) == (40, 0.05, 120, 41)
        assert (o.batch_size, o.lr, o.lr_end, o.momentum, o.nesterov) == (256, 0.025, 0, 0.9, True)
        assert o.weight_decay == 4e-5
        assert (o.label_smoothing, o.clip, o.arch_every) == (0.1, 0, 5)
        assert (o.arch_lr, o.arch_betas, o.arch_weight_decay) == (1e-3, (0, 0.999), 0)
    assert (ProxylessNASROptions().draws, ProxylessNASROptions().baseline_rate) == (10, 0.99)


def test_the_learning_rate_falls_twice() -> None:
    method = search(weight_epochs_lr=0.4, lr=0.2)
    assert [method.lr(epoch) for epoch in range(3)] == pytest.approx([0.4, 0.2, 0.2])
    assert method.lr(4) == pytest.approx(0.1)
    assert 0 < method.lr(5) < 0.05


def test_the_architecture_learns_in_every_second_step_of_an_epoch_from_its_first_one_on() -> None:
    method, learnt = search(epoch=2), []
    for epoch in (2, 3, 4):
        method.on_epoch_start(epoch)
        for number in range(3):
            before = [alpha.detach().clone() for alpha in method.alphas]
            sums = method.step(batch(number), batch(number + 10))
            moved = [not torch.equal(*pair) for pair in zip(method.alphas, before, strict=True)]
            assert all(moved) == any(moved) == ("valid_count" in sums)
            learnt.append(all(moved))
    assert learnt == [False] * 3 + [False, True, False] * 2


def test_only_the_two_paths_of_a_decision_learn_and_the_others_keep_their_probabilities(monkeypatch) -> None:
    method = search(arch_lr=0.1)
    paths = spied(method, monkeypatch)
    for number in range(3):
        before = [alpha.detach().clone() for alpha in method.alphas]
        method._architecture_step(batch(number))
        for alpha, old, gates in zip(method.alphas, before, paths[-1].values(), strict=True):
            pair = torch.zeros(alpha.shape, dtype=torch.bool)
            for row, (chosen, second) in enumerate(zip(gates.chosen, gates.compared, strict=True)):
                pair[row, [chosen, *second]] = True
            assert torch.equal(alpha[~pair], old[~pair])
            torch.testing.assert_close(alpha.softmax(1)[~pair], old.softmax(1)[~pair], rtol=0, atol=1e-7)
            assert (alpha.softmax(1)[pair] - old.softmax(1)[pair]).abs().max() > 1e-3


def textbook(self: Choice, x: Tensor, gates: Gates, row: int) -> Tensor:
    """All options are run and kept, and nothing but the chosen one reaches weights or input ('full')."""
    gate, chosen = gates.options[row] * gates.weights[row], gates.chosen[row]
    outputs = [option(x) if column == chosen else option(x).detach() for column, option in enumerate(self.options)]
    return sum(gate[column] * output for column, output in enumerate(outputs))


def test_all_paths_have_the_gradients_of_the_full_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for whole in (False, True):
        method = search(gates="all_paths")
        if whole:
            monkeypatch.setattr(Choice, "forward", textbook)
        method._architecture_step(batch())
        found.append([alpha.grad.clone() for alpha in method.alphas])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-7)
        assert bool((wanted != 0).all())


@pytest.mark.parametrize("gates", ["two_paths", "all_paths"])
def test_a_drawn_zero_can_have_its_gradient_thrown_away(gates: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits of the logits and Adam's state of such a decision stay; kept, it learns as any other."""
    method = search(gates=gates, zero="discarded")
    paths, column = spied(method, monkeypatch), OPERATIONS.index(NONE)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha[:, column] += 2.0  # half of all draws
    before = [alpha.detach().clone() for alpha in method.alphas]
    method._architecture_step(batch())
    empty = [[chosen == column for chosen in gates.chosen] for gates in paths[0].values()]
    assert {each for rows in empty for each in rows} == {True, False}
    thrown_away = 0
    for alpha, old, rows in zip(method.alphas, before, empty, strict=True):
        learnt, there = (alpha != old).any(dim=1), alpha.grad.any(dim=1)  # behind a node that nothing reaches, none is
        assert learnt.tolist() == [bool(own) and not drawn for own, drawn in zip(there, rows, strict=True)]
        thrown_away += int((there & torch.tensor(rows)).sum())
    assert thrown_away
    states = [row in method.architecture_optimiser.state for row in method.rows]
    assert states == [not each for rows in empty for each in rows]


def test_a_zero_that_is_kept_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    method = search(gates="all_paths")
    paths, column = spied(method, monkeypatch), OPERATIONS.index(NONE)
    before = [alpha.detach().clone() for alpha in method.alphas]
    method._architecture_step(batch())
    assert any(column in gates.chosen for gates in paths[0].values())
    assert all(bool((alpha != old).any(dim=1).all()) for alpha, old in zip(method.alphas, before, strict=True))


def test_reinforce_has_the_policy_gradient_of_the_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    """`(r - b)(p - one-hot)`, written out; the baseline goes `baseline_rate` of the way to the mean."""
    method = search(ProxylessNASR, draws=4, baseline_rate=0.25)
    paths = spied(method, monkeypatch)
    p = [alpha.detach().softmax(1) for alpha in method.alphas]
    method.baseline = torch.tensor(0.5)
    sums = method._architecture_step(batch())
    assert len(paths) == 4
    with torch.no_grad():
        logits = [method.supernet(batch()[0], path) for path in paths]
    rewards = torch.stack([(each.argmax(1) == batch()[1]).float().mean() for each in logits])
    torch.testing.assert_close(sums["valid_correct"] / sums["valid_count"], rewards.mean())
    baseline = 0.5 + 0.25 * (rewards.mean() - 0.5)
    torch.testing.assert_close(method.baseline, baseline)
    for number, alpha in enumerate(method.alphas):
        wanted = torch.zeros_like(p[number])
        for reward, path in zip(rewards, paths, strict=True):
            chosen = torch.tensor(list(path.values())[number].chosen)
            one_hot = torch.nn.functional.one_hot(chosen, alpha.shape[1])
            wanted += (reward - baseline) * (p[number] - one_hot) / 4
        torch.testing.assert_close(alpha.grad, wanted)


def test_a_warm_up_that_outlasts_the_start_of_the_architecture_is_refused() -> None:
    with pytest.raises(MethodError, match="weights are trained alone"):
        ProxylessNASOptions(**{**SMALL, "weight_epochs": 4})
