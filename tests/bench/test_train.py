"""The common trainer against a plain loop; masks, EMA, mixup, divergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import load
from bench.device.engine import Engine
from bench.plan.recipe import Recipe, load_recipe
from bench.records.directory import RunDirectory
from bench.run.loop import DivergenceError, Loop
from bench.run.train import evaluate, train
from methods.genotypes import published
from methods.spaces import NetworkSettings, build

ENGINE = Engine(torch.device("cpu"))
DIGITS = load("digits")
RECIPE = load_recipe("plain-cifar", {"epochs": 2, "batch_size": 32, "lr": 0.1, "augmentation": "crop"})


def network() -> nn.Module:
    torch.manual_seed(3)
    return build(published("DARTS_V2"), 10, NetworkSettings(4, 3, in_channels=1))


def batches(recipe: Recipe) -> Batches:
    augmentation = get_augmentation(recipe.augmentation, DIGITS.info)
    return Batches(DIGITS.train.images[:96], DIGITS.train.labels[:96], recipe.batch_size, augmentation, seed=1)


def run(model: nn.Module, recipe: Recipe, folder: Path, **more: Any) -> tuple[dict[str, float], Loop]:
    plain = get_augmentation("none", DIGITS.info)
    held_out = evaluation_batches(DIGITS.train.images[96:160], DIGITS.train.labels[96:160], 64, plain)
    folder.mkdir(parents=True, exist_ok=True)

    def make_loop(parts: dict[str, Any]) -> Loop:
        return Loop(RunDirectory(folder), "sig", 0, ENGINE, parts)

    return train(model, recipe, batches(recipe), held_out, ENGINE, make_loop, num_classes=10, **more)


def test_the_trainer_is_a_plain_loop(tmp_path: Path) -> None:
    ours, plain = network(), network()
    run(ours, RECIPE, tmp_path)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, weight_decay=RECIPE.weight_decay)
    data = batches(RECIPE)
    plain.train()
    for epoch in range(2):
        optimizer.param_groups[0]["lr"] = RECIPE.lr_at(epoch)
        for images, labels in data.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(plain(images), labels).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), RECIPE.grad_clip)
            optimizer.step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_masked_weights_stay_zero_and_do_not_count_in_the_norm(tmp_path: Path) -> None:
    model = network()
    name = "cells.0.operations.0.2.weight"
    parameter = dict(model.named_parameters())[name]
    mask = torch.rand(parameter.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    run(model, RECIPE, tmp_path, masks={name: mask})
    assert torch.equal(parameter != 0, mask)
    with pytest.raises(ValueError, match="does not fit the network"):
        run(network(), RECIPE, tmp_path / "other", masks={name: mask[:1]})


def test_ema_and_mixup_from_timm(tmp_path: Path) -> None:
    recipe = load_recipe("timm-cifar", {"epochs": 2, "batch_size": 32, "augmentation": "crop", "auxiliary_weight": 0})
    model = network()
    values, loop = run(model, recipe, tmp_path)
    assert set(values) >= {"train/loss", "test/accuracy"}
    plain = network()
    run(
        plain,
        load_recipe(
            "timm-cifar", {"epochs": 2, "batch_size": 32, "augmentation": "crop", "auxiliary_weight": 0, "ema_decay": 0}
        ),
        tmp_path / "plain",
    )
    assert not torch.equal(model.state_dict()["classifier.weight"], plain.state_dict()["classifier.weight"])
    assert loop.images == 2 * 96


def test_a_penalty_changes_the_weights(tmp_path: Path) -> None:
    model, plain = network(), network()
    run(plain, RECIPE, tmp_path / "plain")
    run(model, RECIPE, tmp_path, penalty=lambda net: 0.1 * sum(p.abs().sum() for p in net.parameters()))
    assert sum(p.abs().sum() for p in model.parameters()) < sum(p.abs().sum() for p in plain.parameters())


def test_divergence_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match=r"train/loss became (nan|inf).*Lower the learning rate"):
        run(
            network(), load_recipe("plain-cifar", {"epochs": 3, "batch_size": 16, "lr": 1e18, "grad_clip": 0}), tmp_path
        )


def test_evaluation_is_the_mean_over_all_images() -> None:
    model = network()
    plain = get_augmentation("none", DIGITS.info)
    images, labels = DIGITS.train.images[:50], DIGITS.train.labels[:50]
    found = evaluate(model, evaluation_batches(images, labels, 7, plain), ENGINE, "x/")
    once = next(iter(evaluation_batches(images, labels, 50, plain).epoch(0)))
    model.eval()
    with torch.no_grad():
        logits = model(once[0])
    assert found["x/loss"] == pytest.approx(float(F.cross_entropy(logits, once[1])), rel=1e-5)
    assert found["x/accuracy"] == pytest.approx(100 * float((logits.argmax(1) == once[1]).float().mean()))


@pytest.mark.parametrize("name", ["DARTS_V2", "ResNet56", "VGG16"])
def test_channels_last_images_change_no_value_and_no_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = build(published(name), 10, NetworkSettings(4, 3)).double()
    images, gradients = torch.randn(4, 3, 32, 32, dtype=torch.float64), []
    for form in (torch.contiguous_format, ENGINE.memory_format):
        loss = F.cross_entropy(model(images.contiguous(memory_format=form)), torch.arange(4))
        gradients.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    assert ENGINE.memory_format is torch.channels_last
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
