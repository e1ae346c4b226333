"""Recipes: published values, schedules, hashes, and the mark of a changed one."""

from __future__ import annotations

import math

import pytest
import torch

from bench.config import ConfigError
from bench.recipe import load_recipe, recipe_names


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
    with pytest.raises(ConfigError, match="drop_path must be in"):
        load_recipe("darts-cifar", {"drop_path": 1.5})
