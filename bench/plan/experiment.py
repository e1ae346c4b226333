"""Experiments: what to compare, at which profile, with which seeds.

An experiment file names *rows* (the lines of the table to be made) and *profiles* (how much of the published schedule
is spent). `bench.plan.runs` turns both into runs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.config import ConfigError, fill_preset, nearest, parse
from bench.data.folder_settings import FolderSettings, beside
from bench.data.graphs.settings import GraphTasks
from bench.data.search_protocol import SearchProtocol
from bench.plan.comparison_checks import check_comparison
from bench.plan.cost_checks import check_row_cost
from bench.plan.inherited_checks import check_inherited
from bench.plan.listed_rows import check_listed, check_same_space
from bench.plan.of_rows import (
    check_lines,
    check_of,
    check_rest,
    is_transform,
    starts_from_training,
    with_sources,
)
from bench.plan.recipe import load_recipe
from bench.plan.schema import Experiment as Experiment
from bench.plan.schema import Match, Profile, Row, Transfer, given_options
from bench.plan.scoring import check_scoring, space_of
from bench.plan.shared_profiles import with_shared
from bench.plan.tasks import check_recipe_task, check_row_task, check_task, name_of, task_of_experiment
from bench.strict_yaml import read_mapping
from methods.base import GradientSearch, Method, MethodError, SamplingSearch, Transform
from methods.domain import shown
from methods.genotypes import published_names
from methods.registry import get_method
from methods.sampling.random_sampling import RandomSamplingOptions, refuse_no_size
from methods.spaces import NetworkSettings, get_space, space_names
from methods.tasks import CLASSIFICATION

FOLDER = Path(__file__).parent / "experiments"


def experiment_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def experiment_path(name: str) -> Path:
    """The file of a shipped experiment, or the path given. Raises ConfigError for a name that is neither."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in experiment_names():
        names = nearest(name, experiment_names())
        raise ConfigError(f"unknown experiment {shown(name)}{names}; or a path to a .yaml")
    return FOLDER / f"{name}.yaml"


def load_experiment(name: str) -> Experiment:
    """An experiment by its shipped name or the path of a YAML file.

    Raises:
        ConfigError: not found, or anything wrong in it, whatever part of it will be run.
    """
    path = experiment_path(name)
    content = with_sources(with_shared(read_mapping(path), experiment_path, path.stem), path.stem)
    experiment = parse(Experiment, {"name": path.stem, **content}, path.name)
    if isinstance(experiment.dataset, FolderSettings):
        experiment = replace(experiment, dataset=beside(experiment.dataset, path.parent))
    experiment = replace(experiment, rows={label: _beside(path, row) for label, row in experiment.rows.items()})
    check_task(experiment)
    for label, row in experiment.rows.items():
        _check_row(experiment, label, row)
    check_lines(experiment)
    for profile_name, profile in experiment.profiles.items():
        _check_profile(experiment, profile, f"{experiment.name}.profiles.{profile_name}")
        check_scoring(experiment, profile, f"{experiment.name}.profiles.{profile_name}")
    return experiment


def _check_space(profile: Profile, label: str, row: Row, where: str) -> None:
    """A row that is drawn at a size names a space in which that can be done."""
    try:
        refuse_no_size(given_options(profile, label, row).get("space", RandomSamplingOptions().space))
    except MethodError as error:
        raise ConfigError(f"{where} with rows.{label}: {error}") from None


def _check_scale(experiment: Experiment, profile: Profile, label: str, matched: str, where: str) -> None:
    """A network is drawn at the scale of another one, which must be given in the same words."""
    drawn, name = (space_of(profile, row, experiment.rows[row]) for row in (label, matched))
    if name in space_names() and drawn in space_names():
        asked, has = _scale_words(drawn), _scale_words(name)
        if asked != has:
            raise ConfigError(
                f"{where}: row '{matched}' is of {name}, whose networks are not given by {' and '.join(asked)}, as "
                f"those of {drawn} are; match a row of {_spaces_by(asked)}"
            )


def _scale_words(space: str) -> list[str]:
    """The words in which a space says how large its networks are."""
    return sorted(get_space(space).scale(get_space(space).reference(), NetworkSettings()), reverse=True)


def _spaces_by(words: list[str]) -> str:
    return ", ".join(name for name in space_names() if _scale_words(name) == words)


def _beside(path: Path, row: Row) -> Row:
    """The row with the paths in it, which are relative to the experiment file at `path`, made absolute."""
    if row.cost is not None and row.cost.file is not None:
        file = os.path.abspath(path.parent / Path(row.cost.file).expanduser())
        row = replace(row, cost=replace(row.cost, file=file))
    if row.transfer is not None and row.transfer.experiment.endswith((".yaml", ".yml")):
        other = os.path.abspath(path.parent / Path(row.transfer.experiment).expanduser())
        return replace(row, transfer=replace(row.transfer, experiment=other))
    if row.architecture is None:
        return row
    return replace(row, architecture=os.path.abspath(path.parent / Path(row.architecture).expanduser()))


def _check_profile(experiment: Experiment, profile: Profile, where: str) -> None:
    """Recipes and options as they will be used, and options of methods that no row uses."""

    task = task_of_experiment(experiment)

    def look(recipe: str, changes: dict[str, Any]) -> None:
        try:
            check_recipe_task(task, load_recipe(recipe, changes))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    look(profile.finetune_recipe, profile.finetune_changes)
    look(profile.recipe, profile.recipe_changes)
    for row in experiment.rows.values():
        if row.recipe is not None:
            look(row.recipe, profile.recipe_changes)
    for label, recipes in profile.also.items():
        if label not in experiment.rows:
            raise ConfigError(f"{where}.also: unknown row {shown(label)}" + nearest(label, experiment.rows))
        if is_transform(experiment.rows[label]):
            raise ConfigError(f"{where}.also: {label} is a transform; name a row that is trained from scratch alone")
        for name in recipes:
            look(name, profile.recipe_changes)
    for label in profile.counted:
        if label not in experiment.rows:
            raise ConfigError(f"{where}.counted: unknown row {shown(label)}" + nearest(label, experiment.rows))
        if experiment.rows[label].published is None and experiment.rows[label].architecture is None:
            raise ConfigError(f"{where}.counted: {label} has no architecture before its search; name a given one")
        if any(label in (row.of, row.match and row.match.row) for row in experiment.rows.values()):
            raise ConfigError(f"{where}.counted: another row is made from {label}, which has to be trained for it")
    known = [label for label, row in experiment.rows.items() if row.published is not None]
    for label, name in profile.published.items():
        place = f"{where}.published"
        if label not in known:
            raise ConfigError(f"{place}: {shown(label)} is no published row" + nearest(label, known))
        if name not in published_names():
            raise ConfigError(f"{place}.{label}: unknown genotype {shown(name)}" + nearest(name, published_names()))
    for key, given in profile.options.items():
        if key not in experiment.rows:
            cls, place = _method(key, where + ".options").Options, f"{where}.options.{key}"
            parse(cls, fill_preset(cls, given, place), place)
    for label, row in experiment.rows.items():
        check_row_task(task, profile, label, row, f"{where} with rows.{label}")
        if row.method is not None:
            given, place = given_options(profile, label, row), f"{where} with rows.{label}.options"
            parse(get_method(row.method).Options, fill_preset(get_method(row.method).Options, given, place), place)
            search_protocol_of(profile, label, row, f"{where} with rows.{label}.search_data")
            check_rest(experiment, profile, label, row, where)
            check_same_space(experiment, profile, label, row, f"{where} with rows.{label}")
            if row.match is not None and not issubclass(get_method(row.method), Transform):
                _check_space(profile, label, row, where)
                _check_scale(experiment, profile, label, row.match.row, f"{where} with rows.{label}")
    for key, given in profile.search_data.items():
        if key not in experiment.rows:
            _method(key, where + ".search_data")
            parse(SearchProtocol, given, f"{where}.search_data.{key}")


def search_protocol_of(profile: Profile, label: str, row: Row, where: str) -> SearchProtocol:
    """How a row's searches use the training images: the profile's for the method and the row, then the row's.

    Raises:
        ConfigError: a key that no protocol has, or one that the row's method cannot follow.
    """
    assert row.method is not None
    table, cls = profile.search_data, get_method(row.method)
    given = {**table.get(row.method, {}), **table.get(label, {}), **row.search_data}
    protocol = parse(SearchProtocol, given, where)
    paired = issubclass(cls, GradientSearch) and cls.split.paired
    if given and issubclass(cls, Transform):
        raise ConfigError(f"{where}: {row.method} is a transform, it searches on no images")
    if protocol.augmentation is not None and not issubclass(cls, GradientSearch):
        raise ConfigError(f"{where}: {row.method} trains its proposals with the recipe; set its augmentation there")
    if protocol.valid_batches is not None and not paired:
        raise ConfigError(f"{where}: {row.method} draws no validation batches; leave valid_batches out")
    if protocol.valid == 0 and paired:
        raise ConfigError(f"{where}: {row.method} draws validation batches; it needs a share valid above 0")
    return protocol


DRAWN_ON = ("params", "macs")
"""Counts at which an architecture is drawn."""


def _method(name: str, where: str) -> type[Method]:
    try:
        return get_method(name)
    except MethodError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_row(experiment: Experiment, label: str, row: Row) -> None:
    where = f"{experiment.name}.rows.{label}"
    kinds = ("method", "published", "architecture", "transfer", "compare")
    sources = [name for name in kinds if getattr(row, name) is not None]
    if len(sources) != 1:
        raise ConfigError(f"{where}: give exactly one of {', '.join(kinds)}; found {sources or 'none'}")
    if row.published is not None and row.published not in published_names():
        raise ConfigError(
            f"{where}: unknown published genotype {shown(row.published)}" + nearest(row.published, published_names())
        )
    try:
        check_row_cost(row)
    except ConfigError as error:
        raise ConfigError(f"{where}.cost: {error}") from None
    if row.transfer is not None:
        _check_transfer(row.transfer, experiment, f"{where}.transfer")
        if row.select is not None:
            raise ConfigError(f"{where}: what the other row selects is taken; leave select out")
    if row.compare is not None or isinstance(experiment.dataset, GraphTasks):
        check_comparison(experiment, row, where)
    if row.weights == "inherited":
        check_inherited(experiment, label, row, where)
    if row.method is None:
        if row.options or row.search_data or row.listed:
            raise ConfigError(f"{where}: a given architecture has no options, no search_data and no listed")
        return
    method = _method(row.method, where)
    check_of(experiment, label, row, method, where)
    check_listed(experiment, label, row, method, where)
    if issubclass(method, Transform) and method.enlarges and row.match is not None:
        raise ConfigError(f"{where}: {row.method} makes a network larger by a rule of its own; leave 'match' out")
    if row.match is not None and not issubclass(method, Transform):
        _check_drawn(experiment, label, row, row.match, where)


def _check_transfer(transfer: Transfer, experiment: Experiment, where: str) -> None:
    """Raises ConfigError when there is no such experiment, row or profile, it is of another task, or the row does not
    search."""
    content = read_mapping(experiment_path(transfer.experiment))
    own, other = name_of(experiment.task), name_of(content.get("task", CLASSIFICATION.name))
    if own != other:
        raise ConfigError(f"{where}: {transfer.experiment} is of the task {other}, not of {own}; name one of the same")
    rows, there = content.get("rows") or {}, content.get("profiles") or {}
    if transfer.row not in rows:
        raise ConfigError(
            f"{where}: {transfer.experiment} has no row {shown(transfer.row)}" + nearest(transfer.row, rows)
        )
    for name in [transfer.profile] if transfer.profile is not None else experiment.profiles:
        if name not in there:
            raise ConfigError(
                f"{where}: {transfer.experiment} has no profile {shown(name)}; name the one to start from with "
                f"'profile'" + nearest(name, there)
            )
    row = rows[transfer.row] or {}
    if (row.get("select") or {}).get("at_most") is not None:
        raise ConfigError(
            f"{where}: row '{transfer.row}' of {transfer.experiment} selects by a size, and its networks have others "
            "here; name a row that selects the largest or the smallest"
        )
    method = row.get("method")
    if method is None or issubclass(get_method(str(method)), Transform):
        raise ConfigError(
            f"{where}: row '{transfer.row}' of {transfer.experiment} does not search; name a row that does"
        )
    if row.get("of") is not None:
        raise ConfigError(
            f"{where}: row '{transfer.row}' of {transfer.experiment} starts from another row there; name one that "
            "starts from nothing"
        )


def _check_drawn(experiment: Experiment, label: str, row: Row, match: Match, where: str) -> None:
    """What a row cannot have that is drawn at the size of another."""
    cls = _method(row.method or "", where)
    if not (issubclass(cls, SamplingSearch) and cls.draws_at_size):
        raise ConfigError(f"{where}: {row.method} cannot keep to the size of another row; leave 'match' out")
    if match.on not in DRAWN_ON:
        raise ConfigError(f"{where}: a size is drawn on {' or '.join(DRAWN_ON)}, not on {match.on}")
    other = experiment.rows[match.row]
    if match.row == label or other.match is not None:
        raise ConfigError(f"{where}: row '{match.row}' is itself drawn at a size; name the row that has one of its own")
    if starts_from_training(experiment, match.row):
        raise ConfigError(
            f"{where}: row '{match.row}' has an answer for each retraining that it starts from; draw at the size of a "
            "row that has one for each search"
        )
    if other.architecture is not None or other.transfer is not None:
        raise ConfigError(f"{where}: 'match' of a draw names the row of a search or of a published architecture")
