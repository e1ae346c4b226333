"""Recipes: published values, schedules, hashes, and the mark of a changed one."""

from __future__ import annotations

import math

import pytest
import torch

from bench.config import ConfigError
from bench.plan.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_names_its_source(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.source
    assert recipe.lr_at(0) > 0


def test_darts_recipe_is_the_published_one() -> None:
    recipe = load_recipe("darts-cifar")
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (600, 96, 0.025, 3e-4)
    assert (recipe.drop_path, recipe.auxiliary_weight, recipe.grad_clip) == (0.2, 0.4, 5)
    assert load_recipe("pc-darts-cifar").drop_path == 0.3


def test_cosine_is_torchs_scheduler() -> None:
    recipe = load_recipe("darts-cifar", {"epochs": 7, "lr_min": 0.001})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7, eta_min=0.001)
    for epoch in range(7):
        assert math.isclose(recipe.lr_at(epoch), scheduler.get_last_lr()[0], rel_tol=1e-12)
        optimizer.step()
        scheduler.step()


def test_other_schedules() -> None:
    imagenet = load_recipe("darts-imagenet")
    assert math.isclose(imagenet.lr_at(2), 0.1 * 0.97**2)
    warm = load_recipe("pc-darts-imagenet")
    assert [round(warm.lr_at(epoch), 6) for epoch in range(5)] == [0.1, 0.2, 0.3, 0.4, 0.5]
    steps = load_recipe("plain-cifar", {"schedule": "step", "milestones": [0.5, 0.75], "epochs": 8, "lr": 1.0})
    assert [round(steps.lr_at(epoch), 6) for epoch in range(8)] == [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]


def test_every_epoch_of_pc_darts_imagenet_schedule_is_the_released_one() -> None:
    """A line that would end at epoch 245, five epochs that share its last step, and a warm-up of five."""
    recipe = load_recipe("pc-darts-imagenet")
    assert recipe.epochs == 250
    for epoch in range(250):
        if epoch < 5:
            expected = 0.5 * (epoch + 1) / 5
        elif 250 - epoch > 5:
            expected = 0.5 * (245 - epoch) / 245
        else:
            expected = 0.5 * (250 - epoch) / (245 * 5)
        assert math.isclose(recipe.lr_at(epoch), expected, rel_tol=1e-12), epoch
    assert math.isclose(recipe.lr_at(240), 0.010204081632653062, rel_tol=1e-12)
    assert recipe.lr_at(244) == recipe.lr_at(245)
    assert math.isclose(recipe.lr_at(249), 0.5 / 1225, rel_tol=1e-12)
    line = load_recipe("pc-darts-imagenet", {"tail_epochs": 0})
    assert line.lr_at(240) == pytest.approx(0.02)
    assert line.hash != recipe.hash


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 5}, "a tail of 5 epochs does not fit into 5"),
        ({"tail_epochs": -1}, "tail_epochs is -1"),
        ({"schedule": "cosine"}, "only a linear schedule has a tail"),
    ],
)
def test_a_tail_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("pc-darts-imagenet", changes)


def test_a_changed_recipe_is_marked_and_hashes_differently() -> None:
    published = load_recipe("darts-cifar")
    changed = load_recipe("darts-cifar", {"epochs": 3})
    same = load_recipe("darts-cifar", {"epochs": 600})
    assert changed.name == "darts-cifar*"
    assert changed.hash != published.hash
    assert (same.name, same.hash) == ("darts-cifar", published.hash)


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="did you mean 'darts-cifar'"):
        load_recipe("darts-cifr")
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        load_recipe("darts-cifar", {"epoch": 3})
    with pytest.raises(ConfigError, match=r"recipe darts-cifar: drop_path is 1.5; it must be a number in \[0, 1\)"):
        load_recipe("darts-cifar", {"drop_path": 1.5})
