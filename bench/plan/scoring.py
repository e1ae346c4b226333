"""What scores the proposals of each row, and what a table answers: worked out and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config import ConfigError, fill_preset, nearest, parse
from bench.data.tables import get_table
from bench.plan.evaluation import Evaluation, evaluator_names, make_evaluation
from bench.plan.lookup import Lookup, refuse_space
from bench.plan.schema import Experiment, Profile, Row, given_options
from methods.architecture import Architecture
from methods.base import SamplingSearch
from methods.domain import shown
from methods.genotypes import published
from methods.registry import get_method


def evaluation_of(experiment: Experiment, profile: Profile, label: str, row: Row) -> Evaluation:
    """A row's evaluator: options of the experiment's for it, the profile's for it and for the row, the row's own.

    Raises:
        ConfigError: an option that it does not have or that is missing.
    """
    tables = (experiment.evaluation.get(row.evaluator), profile.evaluation.get(row.evaluator))
    parts = (*tables, profile.evaluation.get(label), row.evaluation)
    given = {name: value for part in parts if part for name, value in part.items()}
    return make_evaluation(row.evaluator, given, f"{experiment.name}.rows.{label}.evaluation")


def space_of(profile: Profile, label: str, row: Row) -> str:
    """The space a row's architectures are of; "" where its method does not say."""
    if row.published is not None:
        return published(row.published).space
    if row.architecture is not None:
        return Architecture.load(Path(row.architecture)).space
    if row.method is None:
        return ""
    cls, where = get_method(row.method), f"rows.{label}.options"
    options: Any = parse(cls.Options, fill_preset(cls.Options, given_options(profile, label, row), where), where)
    return getattr(options, "space", None) or cls.facts.space


def is_scored_by_table(row: Row) -> bool:
    return row.evaluator == "table"


def check_scoring(experiment: Experiment, profile: Profile, where: str) -> None:
    """Raises ConfigError for an evaluator or a look-up that cannot be, with its place."""
    for place, key in _named(experiment, profile, where):
        if key not in evaluator_names() and key not in experiment.rows:
            raise ConfigError(f"{place}: unknown evaluator or row {shown(key)}" + nearest(key, evaluator_names()))
    for label, row in experiment.rows.items():
        place = f"{where} with rows.{label}"
        try:
            _check_evaluator(experiment, profile, label, row)
            if experiment.lookup is not None:
                _check_lookup(experiment, experiment.lookup, profile, label, row)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None


def _named(experiment: Experiment, profile: Profile, where: str) -> Iterator[tuple[str, str]]:
    yield from ((f"{experiment.name}.evaluation", key) for key in experiment.evaluation)
    yield from ((f"{where}.evaluation", key) for key in profile.evaluation)


def _check_evaluator(experiment: Experiment, profile: Profile, label: str, row: Row) -> None:
    if row.table_seeds is not None and not is_scored_by_table(row):
        raise ConfigError("table_seeds counts the seeds of a row that a table scores, and this row is none")
    if row.method is None or not issubclass(get_method(row.method), SamplingSearch):
        if row.evaluator != "proxy" or row.evaluation:
            raise ConfigError("an evaluator scores the proposals of a sampling search, and this row has none")
        return
    evaluation = evaluation_of(experiment, profile, label, row)
    evaluation.refuse(space_of(profile, label, row), row.method)
    if row.cost is not None and is_scored_by_table(row):
        raise ConfigError("a table that scores proposals has no place for a cost; leave 'cost' out")
    if row.search_data and not evaluation.sees_images:
        raise ConfigError(f"the {row.evaluator} scores its proposals: no images are searched on, leave search_data out")
    if experiment.lookup is None:
        evaluation.refuse_dataset(experiment.dataset_name)


def _check_lookup(experiment: Experiment, lookup: Lookup, profile: Profile, label: str, row: Row) -> None:
    """What a look-up cannot have, and architectures that its table does not hold."""
    of_rows = {name: getattr(row, name) for name in ("of", "match", "transfer", "select", "recipe")}
    for name, given in {**of_rows, "also": profile.also, "counted": profile.counted}.items():
        if given:
            raise ConfigError(f"the table {lookup.table} answers instead of trainings: leave '{name}' out")
    refuse_space(lookup.table, space_of(profile, label, row), row.method or "its architecture")
    if row.architecture is not None:
        get_table(lookup.table).index(Architecture.load(Path(row.architecture)))
    if not is_scored_by_table(row):
        get_table(lookup.table).measure(experiment.dataset_name, "test", lookup.epochs, lookup.version)
