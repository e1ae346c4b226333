"""Signatures survive growth: what was asked for before an option existed keeps its name, and its finished runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path

import pytest

from bench.config import ConfigError, identity, parse, restore
from bench.plan.experiment import load_experiment
from bench.plan.recipe import Recipe, load_recipe
from bench.plan.runs import plan
from bench.records.soundness import signature

FROZEN = Path(__file__).parents[1] / "frozen"
EXPERIMENTS = sorted(path.stem for path in FROZEN.glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_of_the_first_release_keep_their_signatures(name: str) -> None:
    """Recorded when the house had six methods. A difference here means that somebody's finished runs are run again."""
    recorded = json.loads((FROZEN / "signatures.json").read_text())
    experiment = load_experiment(str(FROZEN / f"{name}.yaml"))
    for profile in experiment.profiles:
        runs = plan(experiment, profile)
        keys = [(run.phase, run.label, run.inheritance, run.search_seed, run.retrain_seed) for run in runs]
        now = {"/".join(map(str, key)): run.signature for key, run in zip(keys, runs, strict=True)}
        assert now == recorded[f"{name}/{profile}"]


@dataclass(frozen=True)
class Options:
    epochs: int = 50


@dataclass(frozen=True)
class GrownOptions(Options):
    layers: tuple[int, ...] = field(default=(), metadata={"absent": ()})
    smooth: bool = field(default=True, metadata={"absent": False})


def test_a_new_option_leaves_the_identity_of_what_was_there_alone() -> None:
    assert identity(GrownOptions(smooth=False)) == identity(Options()) == {"epochs": 50}
    assert identity(GrownOptions(layers=(1,), smooth=True)) == {"epochs": 50, "layers": (1,), "smooth": True}


def test_what_is_not_recorded_is_restored_as_absent_not_as_todays_default() -> None:
    for options in (GrownOptions(), GrownOptions(smooth=False), GrownOptions(layers=(1, 2))):
        assert restore(GrownOptions, json.loads(json.dumps(identity(options))), "options") == options
    assert parse(GrownOptions, {}, "options").smooth, "a person's file gets the default"
    with pytest.raises(ConfigError, match="unknown key 'smoth'"):
        restore(GrownOptions, {"smoth": True}, "options")


def test_identities_go_into_nested_values() -> None:
    @dataclass(frozen=True)
    class Outer:
        inner: GrownOptions = GrownOptions(smooth=False)
        table: dict[str, GrownOptions] = field(default_factory=dict)

    outer = Outer(table={"a": GrownOptions(epochs=1, smooth=False)})
    assert identity(outer) == {"inner": {"epochs": 50}, "table": {"a": {"epochs": 1}}}


def test_a_recipe_that_grew_keeps_its_hash() -> None:
    recipe = load_recipe("darts-cifar")
    lookahead = field(default=0.0, metadata={"absent": 0.0})
    grown_recipe = make_dataclass("GrownRecipe", [("lookahead", float, lookahead)], bases=(Recipe,), frozen=True)
    grown = grown_recipe(**vars(recipe))
    assert grown.hash == recipe.hash
    assert signature(identity(grown)) == signature(identity(recipe))
    assert grown_recipe(**{**vars(recipe), "lookahead": 0.5}).hash != recipe.hash
