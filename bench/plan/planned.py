"""What the runs of an experiment are made of: one phase of one row with its seeds, each once, by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.config import ConfigError, fill_preset, identity, parse
from bench.data import kept
from bench.data.folder_settings import FolderSettings, folder_identity
from bench.data.tasks import data_of
from bench.plan.architectures import is_own_file, load_valid
from bench.plan.cost_checks import check_predictable
from bench.plan.cost_runs import cost_runs
from bench.plan.evaluation import as_config
from bench.plan.experiment import search_protocol_of
from bench.plan.of_rows import starts_from_training
from bench.plan.recipe import Recipe, load_recipe
from bench.plan.row_cost import RowCost
from bench.plan.schema import Experiment, Inheritance, Match, Row, given_options
from bench.plan.score_runs import score_runs
from bench.plan.scoring import evaluation_of, space_of
from bench.plan.tasks import task_config
from bench.records.directory import RunInfo
from bench.records.soundness import signature
from methods.architecture import ArchitectureError
from methods.base import GradientSearch
from methods.genotypes import published
from methods.registry import get_method

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A finished search of another experiment.

    Attributes:
        info: the search, with its `origin`.
        architecture: as it stands in the configuration of a training of what it found.
    """

    info: RunInfo
    architecture: Mapping[str, Any]


class Plan:
    """The runs of an experiment, each once, in the order in which they can be done."""

    def __init__(
        self,
        experiment: Experiment,
        profile: str,
        memory: str | None = None,
        transferred: Mapping[str, Mapping[int, Source]] | None = None,
    ) -> None:
        self.experiment = experiment.at(profile)
        self.transferred = transferred or {}
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
            "dataset": self.experiment.dataset_name,
            **self._folder,
            **task_config(self.experiment.task, f"{self.experiment.name}.task"),
            "data": identity(profile.data),
            "precision": profile.precision,
            "deterministic": profile.deterministic,
            "threads": profile.threads,
        }

    @cached_property
    def _folder(self) -> dict[str, Any]:
        """What a data set that is a folder adds to a configuration: what it holds, not where it lies."""
        settings = self.experiment.dataset
        if not isinstance(settings, FolderSettings):
            return {}
        task = task_config(self.experiment.task, f"{self.experiment.name}.task")
        parts = data_of(task).list_parts(settings, kept.places(Path(settings.folder)))
        return {"folder": folder_identity(settings, parts.content)}

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

    def add(
        self,
        label: str,
        method: str,
        phase: str,
        config: dict[str, Any],
        common: dict[str, Any] | None = None,
        **more: Any,
    ) -> RunInfo:
        """A run, or the one that is there with the same configuration.

        Args:
            common: what every configuration has, where not as the profile says.
        """
        config = {**config, "phase": phase, **(common or self.common)}
        name = signature(config)
        row = self.experiment.rows.get(label)
        info = RunInfo(
            experiment=self.experiment.name,
            profile=self.profile_name,
            label=label,
            method=method,
            phase=phase,
            dataset=config["dataset"],
            folder=dataset.folder if isinstance(dataset := self.experiment.dataset, FolderSettings) else None,
            signature=name,
            config=config,
            note=row.note if row is not None else "",
            **more,
        )
        first = self.runs.setdefault(name, info)
        if label not in first.rows:
            first.also.append(label)
        return first

    def carried(self, label: str, search: RunInfo) -> RunInfo:
        """A finished search of another experiment as a run of this one, for one of its rows."""
        whose: dict[str, Any] = {"experiment": self.experiment.name, "profile": self.profile_name, "label": label}
        own = self.runs.setdefault(search.signature, replace(search, **whose, also=[], note=""))
        if label not in own.rows:
            own.also.append(label)
        return own

    def search(self, label: str, row: Row, seed: int, retrain_seed: int | None = None) -> RunInfo:
        """A row's search.

        Args:
            retrain_seed: of the training that it starts from; of no account where it starts from none.
        """
        seeds = seed, retrain_seed if starts_from_training(self.experiment, label) else None
        return self._once(("search", label, seeds), lambda: self._search(label, row, *seeds))

    def _search(self, label: str, row: Row, seed: int, retrain_seed: int | None) -> RunInfo:
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
            evaluation = self._once(
                ("evaluation", label), lambda: evaluation_of(self.experiment, self.profile, label, row)
            )
            config |= as_config(evaluation)
            if evaluation.trains:
                recipe = evaluation.recipe_of(self.recipe(row))
                config |= {"network": self.network, "recipe": self._identity(recipe)[0]}
            if evaluation.at_once > 1:
                config["at_once"] = evaluation.at_once
        needs: list[str] = []
        given = None
        if row.of is not None:
            start, needs = self._start(row.method, row.of, (seed, retrain_seed))
            config |= {"start": start, "network": self.network}
            given = self.experiment.rows[row.of].architecture if not start.get("weights") else None
        if row.listed is not None:
            shrunk = self.search(row.listed, self.experiment.rows[row.listed], seed).signature
            config |= {"listed": {"run": shrunk}}
            needs = [*needs, shrunk]
        if row.match is not None:
            match, more = self._size_of(row.match, seed)
            config |= {"match": match, "network": self.network}
            needs = [*needs, *more]
        if row.cost is not None:
            check_predictable(label, row, self.options(label, row))
            by_gradient = issubclass(get_method(row.method), GradientSearch)
            term, more = self._cost(label, row, row.cost)
            config |= {"cost": identity(replace(term, objective=row.cost.rule(by_gradient))), "network": self.network}
            config |= {"latency": {"run": more[0]}} if more else {}
            needs += more
        preset = given_options(self.profile, label, row).get("preset")
        measured = row.cost.file if row.cost is not None else None
        said: dict[str, Any] = {"preset": preset, "measured": measured, "given": given}
        of_seed = partial(self.add, label, row.method, search_seed=seed, retrain_seed=retrain_seed)
        said["needs"] = [*needs, *score_runs(config, needs, of_seed)]
        return of_seed("search", config, **said)

    def _start(self, method: str, of: str, seeds: tuple[int, int | None]) -> tuple[dict[str, Any], list[str]]:
        """What a search starts from, in its configuration, and the runs that it waits for."""
        if get_method(method).starts_from != "network":
            return self._found(of, seeds)
        assert seeds[1] is not None
        trained = self.dense(of, (seeds[0], seeds[1])).signature
        return {"run": trained, "select": None, "weights": True}, [trained]

    def _cost(self, label: str, row: Row, cost: RowCost) -> tuple[RowCost, list[str]]:
        """A row's cost as its search's configuration has it, and the runs that it waits for."""
        space, add = space_of(self.profile, label, row), partial(self.add, label, row.method or "")
        return cost_runs(cost, space, self.network, self.common, add)

    def _size_of(self, match: Match, seed: int) -> tuple[dict[str, Any], list[str]]:
        """Whose size a draw has, in its configuration, and the search that it waits for.

        The number is not known when a run is planned; it follows from that search, whose signature stands for it.
        """
        row = self.experiment.rows[match.row]
        size = {"on": match.on, "tolerance": match.tolerance}
        if row.method is None:
            return {**self.given(match.row, row), **size}, []
        found = self.search(match.row, row, seed).signature
        return {"run": found, "select": identity(row.select) if row.select else None, **size}, [found]

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

    def lines(self, row: Row) -> tuple[Inheritance, ...]:
        """The trainings that a row is to have of what its search found, or of its given architecture."""
        cls = get_method(row.method) if row.method is not None else None
        gives = cls is not None and issubclass(cls, GradientSearch) and cls.gives_weights
        return row.inheritance if gives else ("scratch",)

    def _found(self, label: str, seeds: tuple[int | None, int | None]) -> tuple[dict[str, Any], list[str]]:
        """The architecture of a row that is no transform, as a configuration names it, and the runs it waits for."""
        row = self.experiment.rows[label]
        if row.transfer is not None:
            assert seeds[0] is not None
            source = self.transferred[label][seeds[0]]
            return dict(source.architecture), [self.carried(label, source.info).signature]
        if row.method is None:
            return self.given(label, row), []
        assert seeds[0] is not None
        found = self.search(label, row, seeds[0], seeds[1]).signature
        return {"run": found, "select": identity(row.select) if row.select else None}, [found]

    def dense(
        self,
        label: str,
        seeds: tuple[int | None, int],
        penalty: dict[str, Any] | None = None,
        recipe: str | None = None,
        kind: Inheritance = "scratch",
    ) -> RunInfo:
        """The training run of a row that is not a transform, for one pair of seeds; by its own recipe or another.

        Args:
            kind: how it starts; one that is fine-tuned has the recipe of all that are.
        """
        row = self.experiment.rows[label]
        by = self.recipe(replace(row, recipe=recipe) if recipe else row) if kind == "scratch" else self.tuning()
        own = f"{label}-penalised" if penalty else label
        what, needs = self._found(label, seeds)
        if row.transfer is not None:
            assert seeds[0] is not None
            method = self.transferred[label][seeds[0]].info.method
            return self.train(own, method, what, by, seeds, needs, penalty=penalty)
        if row.method is None:
            return self.train(own, "published", what, by, (None, seeds[1]), [], penalty=penalty, given=row.architecture)
        return self.train(own, row.method, what, by, seeds, needs, kind, penalty)

    def tuning(self) -> Recipe:
        """The recipe of what is fine-tuned from inherited weights."""
        profile = self.profile
        return self._once(("finetune",), lambda: load_recipe(profile.finetune_recipe, profile.finetune_changes))

    def count(self, label: str) -> RunInfo:
        """The network of a row with a given architecture, built and counted, where its training would be shown."""
        row = self.experiment.rows[label]
        recipe, in_record = self._identity(self.recipe(row))
        config = {"architecture": self.given(label, row), "network": self.network, "recipe": recipe}
        more: dict[str, Any] = {"recipe": in_record, "given": row.architecture}
        return self.add(label, "published", "count", config, search_seed=None, retrain_seed=None, **more)

    def given(self, label: str, row: Row) -> dict[str, Any]:
        """The architecture part of a configuration, for a row without a search."""
        return self._once(("given", label), lambda: _given(row))


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
        return {"digest": load_valid(path).digest}
    except ArchitectureError as error:
        hint = ""
        if not path.exists():
            hint = " (paths in an experiment are relative to its file)"
        elif path.is_file() and not is_own_file(path):
            hint = f"; `dasbench import {path}` makes an architecture of other people's text"
        raise ConfigError(f"{error}{hint}") from None
