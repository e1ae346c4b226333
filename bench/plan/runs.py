"""The runs that follow from an experiment: each one phase of one row with its seeds, after those that it needs.

A run's signature is the hash of everything that decides its result, so that two rows that need the same search share
it, and running again does only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.config import ConfigError, fill_preset, identity, nearest, parse
from bench.plan.architectures import is_own_file
from bench.plan.experiment import Experiment, Inheritance, Row, given_options, search_protocol_of
from bench.plan.recipe import Recipe, load_recipe
from bench.records.directory import RunInfo
from bench.records.soundness import signature
from methods.architecture import Architecture, ArchitectureError
from methods.base import GradientSearch, Transform
from methods.domain import shown
from methods.genotypes import published
from methods.registry import get_method

T = TypeVar("T")


class Plan:
    """The runs of an experiment, each once, in the order in which they can be done."""

    def __init__(self, experiment: Experiment, profile: str, memory: str | None = None) -> None:
        self.experiment = experiment
        self.memory = memory
        self.profile_name = profile
        self.profile = experiment.profile(profile)
        self.runs: dict[str, RunInfo] = {}
        self._made: dict[tuple[object, ...], Any] = {}

    def _once(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What does not depend on seeds is made once: thousands of runs share it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def common(self) -> dict[str, Any]:
        profile = self.profile
        return {
            "dataset": self.experiment.dataset,
            "data": identity(profile.data),
            "precision": profile.precision,
            "deterministic": profile.deterministic,
            "threads": profile.threads,
        }

    @cached_property
    def network(self) -> dict[str, Any]:
        return cast(dict[str, Any], identity(self.profile.network))

    def options(self, label: str, row: Row) -> dict[str, Any]:
        """A row's options: the method's defaults, a preset's, the profile's for the method and the row, the row's."""
        return self._once(("options", label), lambda: self._options(label, row))

    def _options(self, label: str, row: Row) -> dict[str, Any]:
        assert row.method is not None
        cls, where = get_method(row.method), f"{self.experiment.name}.rows.{label}.options"
        given = fill_preset(cls.Options, given_options(self.profile, label, row), where)
        if self.memory and "memory" in {each.name for each in fields(cls.Options)}:
            given["memory"] = self.memory
        return identity(parse(cls.Options, given, where))

    def _protocol(self, label: str, row: Row) -> dict[str, Any]:
        where = f"{self.experiment.name}.rows.{label}.search_data"
        return cast(dict[str, Any], identity(search_protocol_of(self.profile, label, row, where)))

    def add(self, label: str, method: str, phase: str, config: dict[str, Any], **more: Any) -> RunInfo:
        config = {**config, "phase": phase, **self.common}
        name = signature(config)
        info = RunInfo(
            experiment=self.experiment.name,
            profile=self.profile_name,
            label=label,
            method=method,
            phase=phase,
            dataset=self.experiment.dataset,
            signature=name,
            config=config,
            **more,
        )
        first = self.runs.setdefault(name, info)
        if label not in first.rows:
            first.also.append(label)
        return first

    def search(self, label: str, row: Row, seed: int) -> RunInfo:
        return self._once(("search", label, seed), lambda: self._search(label, row, seed))

    def _search(self, label: str, row: Row, seed: int) -> RunInfo:
        assert row.method is not None
        config = {
            "method": row.method,
            "options": self.options(label, row),
            "stem": self.profile.network.stem,
            "search_seed": seed,
        }
        if protocol := self._once(("protocol", label), lambda: self._protocol(label, row)):
            config["search_data"] = protocol
        if not issubclass(get_method(row.method), GradientSearch):
            config |= {"network": self.network, "recipe": self._identity(self.recipe(row))[0]}
        preset = given_options(self.profile, label, row).get("preset")
        return self.add(label, row.method, "search", config, search_seed=seed, retrain_seed=None, preset=preset)

    def recipe(self, row: Row) -> Recipe:
        name = row.recipe or self.profile.recipe
        return self._once(("recipe", name), lambda: load_recipe(name, self.profile.recipe_changes))

    def _identity(self, recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
        """A recipe as a run's configuration holds it, and its name and hash."""

        def make() -> tuple[dict[str, Any], dict[str, str]]:
            return identity(recipe), {"name": recipe.name, "hash": recipe.hash}

        return self._once(("identity", recipe), make)

    def train(
        self,
        label: str,
        method: str,
        architecture: dict[str, Any],
        recipe: Recipe,
        seeds: tuple[int | None, int],
        needs: list[str],
        inheritance: Inheritance = "scratch",
        penalty: dict[str, Any] | None = None,
        given: str | None = None,
    ) -> RunInfo:
        in_config, in_record = self._identity(recipe)
        config = {
            "architecture": architecture,
            "network": self.network,
            "recipe": in_config,
            "inheritance": inheritance,
            "retrain_seed": seeds[1],
            "evaluate_every": self.profile.evaluate_every,
            "penalty": penalty,
        }
        return self.add(
            label,
            method,
            "train",
            config,
            search_seed=seeds[0],
            retrain_seed=seeds[1],
            inheritance=inheritance,
            recipe=in_record,
            needs=needs,
            given=given,
            intermediate=penalty is not None,
        )

    def dense(
        self,
        label: str,
        seeds: tuple[int | None, int],
        penalty: dict[str, Any] | None = None,
        recipe: str | None = None,
    ) -> RunInfo:
        """The training run of a row that is not a transform, for one pair of seeds; by its own recipe or another."""
        row = self.experiment.rows[label]
        by = self.recipe(replace(row, recipe=recipe) if recipe else row)
        own = f"{label}-penalised" if penalty else label
        if row.method is None:
            what = self._once(("given", label), lambda: _given(row))
            return self.train(own, "published", what, by, (None, seeds[1]), [], penalty=penalty, given=row.architecture)
        assert seeds[0] is not None
        found = self.search(label, row, seeds[0])
        architecture = {"run": found.signature, "select": identity(row.select) if row.select else None}
        return self.train(own, row.method, architecture, by, seeds, [found.signature], penalty=penalty)

    def transform(self, label: str, row: Row, seeds: tuple[int | None, int]) -> list[RunInfo]:
        """A transform's runs: the dense training, the transform itself, and one training for each inheritance."""
        assert row.method is not None
        assert row.of is not None
        options = self.options(label, row)
        cls = get_method(row.method)
        penalised = cls.training_penalty is not Transform.training_penalty  # type: ignore[attr-defined]
        penalty = {"method": row.method, "options": cls.penalty_options(options)} if penalised else None  # type: ignore[attr-defined]
        source = self.dense(row.of, seeds, penalty)
        needs, match = [source.signature], None
        if row.match is not None:
            first = self.profile.search_seeds[0] if seeds[0] is None else seeds[0]
            other = self.dense(row.match.row, (first, seeds[1]))
            needs.append(other.signature)
            match = {"run": other.signature, "on": row.match.on}
        config = {"method": row.method, "options": options, "source": source.signature, "match": match}
        own = (source.search_seed, seeds[1])
        smaller = self.add(label, row.method, "transform", config, search_seed=own[0], retrain_seed=own[1], needs=needs)
        recipes: dict[Inheritance, Recipe] = {
            "scratch": self.recipe(row),
            "finetune": self._once(
                ("finetune",), lambda: load_recipe(self.profile.finetune_recipe, self.profile.finetune_changes)
            ),
        }
        architecture = {"run": smaller.signature, "select": None}
        return [
            self.train(label, row.method, architecture, recipes[kind], own, [smaller.signature], kind)
            for kind in row.inheritance
        ]


def _given(row: Row) -> dict[str, Any]:
    """The architecture part of a training's configuration, for a published genotype or a file.

    A file counts by what it says, not by where it lies: moved, it is still the same run.

    Raises:
        ConfigError: there is no such file, or no architecture in it.
    """
    if row.published is not None:
        return {"published": row.published, "digest": published(row.published).digest}
    assert row.architecture is not None
    path = Path(row.architecture)
    try:
        return {"digest": Architecture.load(path).digest}
    except ArchitectureError as error:
        hint = ""
        if not path.exists():
            hint = " (paths in an experiment are relative to its file)"
        elif path.is_file() and not is_own_file(path):
            hint = f"; `dasbench import {path}` makes an architecture of other people's text"
        raise ConfigError(f"{error}{hint}") from None


def plan(
    experiment: Experiment,
    profile: str,
    rows: Sequence[str] | None = None,
    search_seeds: Sequence[int] | None = None,
    retrain_seeds: Sequence[int] | None = None,
    memory: str | None = None,
) -> list[RunInfo]:
    """All runs of an experiment at a profile, in an order that respects `needs`.

    Args:
        rows: labels to run (all by default); what they need of other rows is included.
        search_seeds, retrain_seeds: instead of the profile's.
        memory: the option `memory` of every search that has it.

    Raises:
        ConfigError: unknown profile or row, an option a method does not have, or `memory` where nothing has it.
    """
    whole = Plan(experiment, profile, memory)
    if search_seeds is not None:
        whole.profile = replace(whole.profile, search_seeds=tuple(search_seeds))
    if retrain_seeds is not None:
        whole.profile = replace(whole.profile, retrain_seeds=tuple(retrain_seeds), given_seeds=None)
    for label in rows or experiment.rows:
        if label not in experiment.rows:
            raise ConfigError(
                f"experiment {experiment.name}: unknown row {shown(label)}" + nearest(label, experiment.rows)
            )
    for label in rows or experiment.rows:
        row = experiment.rows[label]
        base = experiment.rows[row.of] if row.of else row
        searched = base.method is not None
        given = whole.profile.given_seeds or whole.profile.retrain_seeds
        for retrain_seed in whole.profile.retrain_seeds if searched else given:
            for search_seed in whole.profile.search_seeds if searched else (None,):
                if row.of:
                    whole.transform(label, row, (search_seed, retrain_seed))
                else:
                    whole.dense(label, (search_seed, retrain_seed))
                for recipe in whole.profile.also.get(label, ()):
                    whole.dense(label, (search_seed, retrain_seed), recipe=recipe)
    runs = list(whole.runs.values())
    if memory and not any("memory" in info.config.get("options", {}) for info in runs):
        raise ConfigError(
            f"experiment {experiment.name}: no search of these rows has the option 'memory'; leave --memory out, or "
            "name rows of DARTS or PC-DARTS"
        )
    return runs
