"""Reduced searches keep the pace of the published one's architecture parameters (`methods.parts.pace`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.augment import get_augmentation
from bench.data.batches import Batches
from bench.data.sets import digits
from bench.device.engine import Engine
from bench.records.directory import RunDirectory
from bench.run.loop import Loop
from bench.run.search import gradient_search
from methods.base import SearchContext
from methods.gradient.darts import DARTS
from methods.gradient.mgas.cells.topology import Plan
from methods.gradient.mgas.optimizers import learning_rates, pace_of
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.schedule import phases
from methods.gradient.mgas.search import MGAS
from methods.gradient.operation_pruning import OperationPruning
from methods.gradient.pc_darts import PCDARTS
from methods.registry import get_method

CPU = torch.device("cpu")
CONTEXT = SearchContext(num_classes=10, in_channels=1, image_size=8)
SMALL: dict[str, Any] = {"channels": 4, "cells": 3, "batch_size": 8}
SUMS = {  # steps of an epoch of half of CIFAR-10, epochs with architecture steps, Adam's learning rate
    "darts": 391 * 50 * 3e-4,
    "pc_darts": 98 * 35 * 6e-4,
    "operation_pruning": 391 * 50 * 3e-4,
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize(("steps", "epochs", "start"), [(9, 3, 0), (16, 4, 1), (391, 10, 3)])
def test_the_sum_of_learning_rates_is_the_published_one(name: str, steps: int, epochs: int, start: int) -> None:
    cls: Any = get_method(name)
    method = cls(cls.Options(**SMALL, epochs=epochs, arch_start_epoch=start, arch_pace="published"), CONTEXT)
    method.begin(steps)
    rate = method.architecture_optimiser.param_groups[0]["lr"]
    assert rate * steps * (epochs - start) == pytest.approx(SUMS[name])
    assert method.provenance()["arch_lr"] == rate


@pytest.mark.parametrize("cls", [DARTS, PCDARTS, OperationPruning])
def test_a_search_at_its_own_pace_has_the_learning_rate_it_was_given(cls: Any) -> None:
    method = cls(cls.Options(**SMALL, epochs=3, arch_start_epoch=0), CONTEXT)
    method.begin(7)
    assert method.architecture_optimiser.param_groups[0]["lr"] == cls.Options().arch_lr
    assert "arch_lr" not in method.provenance()


def test_what_pushes_steadily_goes_as_far_in_fewer_steps() -> None:
    """Adam over a gradient of one sign, with the released settings: 391 * 50 small steps, and 27 large ones."""

    def reached(lr: float, steps: int) -> float:
        parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([parameter], lr, betas=(0.5, 0.999))
        for step in range(steps):
            parameter.grad = torch.full_like(parameter, 0.01 * (1.0 + 0.5 * math.sin(step)))
            optimiser.step()
        return -parameter.item()

    method = DARTS(DARTS.Options(**SMALL, epochs=3, arch_pace="published"), CONTEXT)
    method.begin(9)
    assert reached(method.arch_lr, 27) == pytest.approx(reached(3e-4, 391 * 50), rel=0.1)


def test_the_loop_says_how_many_steps_there_are_and_a_continued_search_keeps_its_rate(tmp_path: Path) -> None:
    data = digits.load(tmp_path, False, None, None)

    def batches(stream: str) -> Batches:
        images = data.train.select(torch.arange(20))
        plain = get_augmentation("none", data.info)
        return Batches(images.images, images.labels, 8, plain, 0, CPU, stream=stream)

    def run(epochs: int) -> DARTS:
        torch.manual_seed(0)
        method = DARTS(DARTS.Options(**SMALL, epochs=2, arch_pace="published"), CONTEXT)
        method.epochs = epochs
        make_loop = lambda parts: Loop(RunDirectory(tmp_path), "sig", 0, engine, parts)  # noqa: E731
        gradient_search(method, batches("a"), batches("b"), None, engine, make_loop)
        return method

    engine = Engine(CPU)
    for epochs in (1, 2):
        method = run(epochs)
        assert method.epoch == epochs - 1
        assert method.architecture_optimiser.param_groups[0]["lr"] * 3 * 2 == pytest.approx(SUMS["darts"])


def test_mgas_keeps_noise_and_drift_of_an_epoch_of_521_steps() -> None:
    options = MGASOptions(arch_pace="published", lambda_start=(1e-3,))
    for steps in (9, 32, 521):
        pace = pace_of(options, steps)
        usual, rates = learning_rates(MGASOptions()), learning_rates(options, pace)
        phase = phases(options, Plan(4, 5), pace)[0]
        for role in ("alpha", "kappa", "t_operation", "t_filter", "t_input", "t_weight"):
            assert rates[role] * math.sqrt(steps) == pytest.approx(usual[role] * math.sqrt(521))
            assert rates[role] * phase.start * steps == pytest.approx(usual[role] * 1e-3 * 521)
            assert rates[role] * phase.rule.delta * steps == pytest.approx(usual[role] * 1e-5 * 521)
        assert rates["weight"] == usual["weight"]
    assert pace_of(MGASOptions(), 9) == 1.0


def test_an_mgas_search_trains_at_its_pace() -> None:
    method = MGAS(
        MGASOptions(channels=4, cells=3, arch_pace="published", lambda_start=(1e-3,), warmup_epochs=(0,)), CONTEXT
    )
    method.begin(9)
    rates = {group["lr"] for group in method.optimizers.architecture.param_groups}
    factor = math.sqrt(521 / 9)
    assert sorted(rates) == pytest.approx([0.001 * factor, 0.1 * factor, factor])
    assert float(method.supernet.strength) == pytest.approx(1e-3 * factor)
    loaded = MGAS(method.options, CONTEXT)
    loaded.begin(9)
    loaded.load_state_dict(method.state_dict())
    assert {group["lr"] for group in loaded.optimizers.architecture.param_groups} == rates
