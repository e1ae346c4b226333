"""What every shipped recipe, data set and evaluator keeps to: a new one is tested by being there."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path

import pytest

from bench.config import identity, restore
from bench.data.names import ALL_AUGMENTATIONS, DATASETS
from bench.plan.evaluation import Evaluation, evaluation_class, evaluator_names
from bench.plan.recipe import Recipe, load_recipe, recipe_names

EVALUATORS = Path(__file__).parents[2] / "bench" / "run" / "evaluators"


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_its_record(name: str) -> None:
    """A run is continued from what its run.json holds: the same recipe, of the same hash."""
    recipe = load_recipe(name)
    again = restore(Recipe, json.loads(json.dumps(identity(recipe))), "recipe")
    assert again == recipe
    assert again.hash == recipe.hash


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_a_schedule_to_its_end(name: str) -> None:
    recipe = load_recipe(name)
    rates = [recipe.lr_at(epoch) for epoch in range(recipe.epochs)]
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates)
    assert max(rates) > 0
    assert recipe.augmentation in ALL_AUGMENTATIONS


@pytest.mark.parametrize("name", recipe_names())
def test_no_two_recipes_are_the_same(name: str) -> None:
    others = [load_recipe(other).hash for other in recipe_names() if other != name]
    assert load_recipe(name).hash not in others


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_described(name: str) -> None:
    assert name == name.lower()
    assert len(DATASETS[name]) > 20


def test_every_evaluator_has_a_file_and_every_file_is_an_evaluator() -> None:
    files = {path.stem for path in EVALUATORS.glob("*.py")} - {"__init__", "base"}
    assert files == set(evaluator_names())


@pytest.mark.parametrize("name", evaluator_names())
def test_an_evaluator_can_be_made_and_scores(name: str) -> None:
    """`make` takes the run's context and the evaluator's settings; what it makes has the whole interface."""
    import_module("bench.run.phases")
    module = import_module(f"bench.run.evaluators.{name}")
    assert callable(module.make)
    assert issubclass(evaluation_class(name), Evaluation)
    assert evaluation_class(name).name == name
    made = [value for value in vars(module).values() if isinstance(value, type) and hasattr(value, "score")]
    assert any(all(hasattr(cls, part) for part in ("prepare", "restored", "score")) for cls in made)
