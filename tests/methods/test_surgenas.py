"""SurgeNAS: rounds that are strictly fair, the sum of their paths, one loss for both, a path around that ends."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.gradient.surgenas import SurgeNAS, SurgeNASOptions
from methods.parts.executors.identity_path import IdentityPath, beside_identity
from methods.parts.executors.single_path import single_path
from methods.parts.executors.slots import SlotWithIdentity
from methods.parts.gates import Gates
from methods.spaces.cell.frame import candidate
from methods.spaces.operations import OPERATIONS, SKIP
from tests.methods.small_searches import CONTEXT, batch, begun

SMALL: dict[str, Any] = {
    "channels": 4, "cells": 3, "batch_size": 4, "epochs": 6, "ordered_epochs": 2, "arch_start_epoch": 2
}  # fmt: skip


def search(epoch: int = 0, **options: Any) -> SurgeNAS:
    made: SurgeNAS = begun(SurgeNAS, epoch, **{**SMALL, **options})
    return made


def test_the_defaults_are_the_siblings() -> None:
    """stepbuystep/LightNAS, 2f0e1d1."""
    o = SurgeNASOptions()
    assert (o.ordered_epochs, o.epochs, o.arch_start_epoch, o.batch_size) == (10, 90, 10, 128)
    assert (o.lr, o.lr_end, o.momentum, o.weight_decay, o.clip, o.label_smoothing) == (0.1, 0, 0.9, 3e-5, 5, 0.1)
    assert (o.arch_lr, o.arch_betas, o.arch_weight_decay) == (1e-3, (0.5, 0.999), 1e-3)
    assert (o.temperature, o.temperature_decay) == (5, 0.1)


def test_after_t_rounds_every_candidate_has_learnt_exactly_t_times() -> None:
    method = search()
    for number in range(2):
        sums = method.step(batch(number), None)
        assert not any(key.startswith("valid_") for key in sums)
    values = method.on_epoch_end(0)
    assert values["paths/updates_least"] == values["paths/updates_most"] == 2


def test_a_round_is_the_sum_of_its_paths_and_the_mean_for_the_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of an explicit sum of networks on one batch; one update of each."""
    found = []
    for explicit in (False, True):
        method = search(arch_start_epoch=0, identity=0.3, label_smoothing=0.2)
        updates: list[list[Tensor | None]] = []
        monkeypatch.setattr(method, "update_weights", lambda gradients, into=updates: into.append(list(gradients)))
        monkeypatch.setattr(method, "update_architecture", lambda gradients, into=updates: into.append(list(gradients)))
        if explicit:
            paths = method.draw()
            assert len(paths) == len(OPERATIONS)
            losses = [
                F.cross_entropy(method.supernet(batch()[0], path), batch()[1], label_smoothing=0.2) for path in paths
            ]
            total = torch.stack(losses).sum()
            of_weights = torch.autograd.grad(total, method.weights, allow_unused=True, retain_graph=True)
            updates = [list(of_weights), list(torch.autograd.grad(total / len(paths), method.alphas))]
        else:
            method.step(batch(), None)
        found.append(updates)
    assert [len(each) for each in found[0]] == [len(each) for each in found[1]]
    for ours, wanted in zip(*(chain.from_iterable(each) for each in found), strict=True):
        assert (ours is None) == (wanted is None)
        if ours is not None:
            torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-5)


def test_then_one_path_moves_weights_and_architecture() -> None:
    method = search(epoch=2)
    before = {name: value.detach().clone() for name, value in method.supernet.named_parameters()}
    method.step(batch(), None)
    moved = {name for name, value in method.supernet.named_parameters() if not torch.equal(value, before[name])}
    assert {f"parameterisation.{name}" for name, _ in method.parameterisation.named_parameters()} <= moved
    assert any("options" in name for name in moved)
    values = method.on_epoch_end(2)
    assert values["paths/updates_most"] == 1
    assert values["paths/updates_mean"] == pytest.approx(1 / len(OPERATIONS))


def test_before_its_time_the_architecture_keeps_its_bits() -> None:
    method = search()
    before = [alpha.detach().clone() for alpha in method.alphas]
    method.step(batch(), None)
    assert all(torch.equal(*pair) for pair in zip(method.alphas, before, strict=True))


def test_temperature_and_path_around_fall_as_stated() -> None:
    method, found = search(identity=0.7), []
    for epoch in range(6):
        method.on_epoch_start(epoch)
        values = method.on_epoch_end(epoch)
        found.append((values["paths/temperature"], values["paths/identity"]))
    assert [each[0] for each in found] == pytest.approx([5, 5, 5] + [5 * math.exp(-0.1 * t) for t in (1, 2, 3)])
    assert [each[1] for each in found] == pytest.approx([0.7, 0.56, 0.42, 0.28, 0.14, 0])
    assert found[-1][1] == 0  # to the bit: what is trained last is the genotype's network
    assert {each.eta for each in method.around} == {0}


@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_chosen_has_a_share_of_its_input_beside_it(stride: int) -> None:
    torch.manual_seed(0)
    executor = beside_identity(single_path(OPERATIONS, candidate))(4, 2, stride)
    hard = torch.zeros(2, 8)
    hard[:, OPERATIONS.index(SKIP)] = 1.0
    gates = Gates(hard, torch.ones(2), (OPERATIONS.index(SKIP),) * 2)
    x = torch.randn(2, 4, 8, 8)
    plain = executor.executor(x, gates)
    assert all(torch.equal(*pair) for pair in zip(executor(x, gates), plain, strict=True))
    (around,) = (module for module in executor.modules() if isinstance(module, IdentityPath))
    around.eta = 0.25
    beside = x if stride == 1 else F.max_pool2d(x, 2, 2, ceil_mode=True)
    for ours, wanted in zip(executor(x, gates), plain, strict=True):
        torch.testing.assert_close(ours, wanted + 0.25 * beside)


def test_in_a_chain_as_well_and_every_slot_is_strictly_fair() -> None:
    """Six candidates or seven: after six rounds of seven paths all of a slot have learnt equally often."""
    torch.manual_seed(0)
    method = SurgeNAS(
        SurgeNASOptions(space="chain_xs", batch_size=4, epochs=2, ordered_epochs=1, arch_start_epoch=1), CONTEXT
    )
    slots = [module for module in method.supernet.modules() if isinstance(module, SlotWithIdentity)]
    assert [type(slot.around.shortcut).__name__ for slot in slots].count("Identity") == 2
    for _ in range(6):
        for path in method.draw():
            method.counts.add({kind: gates.chosen or () for kind, gates in path.items()})
    every = [row for rows in method.counts.updates.values() for row in rows]
    assert {count for row in every for count in row if count} == {6, 7}
    assert all(len({count for count in row if count}) == 1 for row in every)
    gates = method.draw()[0]["slot"]
    changing = next(slot for slot in slots if not slot.slot.keeps_shape)
    x = torch.randn(2, 8, 6, 6)
    plain = changing(x, gates, 0)
    changing.around.eta = 0.5
    torch.testing.assert_close(changing(x, gates, 0), plain + 0.5 * changing.around.shortcut(x))
