"""Experiments: what to compare, at which profile, with which seeds.

An experiment file names *rows* (the lines of the table to be made) and *profiles* (how much of the published schedule
is spent). `bench.plan.runs` turns both into runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.config import ConfigError, fill_preset, nearest, parse
from bench.data.search_protocol import SearchProtocol
from bench.names import LABEL, NAME
from bench.plan.recipe import load_recipe
from bench.strict_yaml import read_mapping
from methods.base import GradientSearch, Method, MethodError, Transform
from methods.domain import check, shown, within
from methods.genotypes import published_names
from methods.registry import get_method

FOLDER = Path(__file__).parent / "experiments"
Inheritance = Literal["scratch", "finetune"]
SEEDS = within("[0, 9223372036854775807]")
MOST_SEEDS = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class DataSettings:
    """Reduced data for reduced profiles: numbers of images (None: all), and the side of an ImageNet image."""

    train_images: int | None = field(default=None, metadata=within("[2, 1000000000]"))
    test_images: int | None = field(default=None, metadata=within("[1, 1000000000]"))
    image_size: int | None = field(default=None, metadata=within("[1, 10000]"))


@dataclass(frozen=True)
class NetworkSize:
    """Scale of retrained networks whose architecture does not fix its own."""

    channels: int = field(default=36, metadata=within("[1, 4096]"))
    cells: int = field(default=20, metadata=within("[1, 200]"))
    stem: Literal["cifar", "imagenet"] = "cifar"


@dataclass(frozen=True)
class Selection:
    """Which member of a family of architectures a row takes: the largest whose count `on` is at most `at_most`.

    Without `at_most` the largest of all, or with `smallest` the smallest.
    """

    on: Literal["params", "params_nonzero", "macs"] = "params"
    at_most: float | None = field(default=None, metadata=within("(0, inf)"))
    smallest: bool = False


@dataclass(frozen=True)
class Match:
    """The size a transform should reach: the count `on` of the row called `row`, with the same seeds."""

    row: str
    on: Literal["params", "params_nonzero", "macs", "macs_sparse"] = "params_nonzero"


@dataclass(frozen=True)
class Row:
    """One line of the table: exactly one of `method`, `published` (a genotype's name) and `architecture` (a file).

    Attributes:
        architecture: path of the file or of its folder, relative to the experiment file.
        options: the method's options that make this row; a profile's options come before them.
        of: for a transform, the row whose trained network it makes smaller.
        inheritance: for a transform, the lines it gives: trained from scratch, fine-tuned from inherited weights.
        match: for a transform, take the size of another row's result instead of the ratio.
        select: for a method that gives a family of sizes, the member this row takes.
        search_data: fields of `SearchProtocol` that make this row; a profile's come before them.
        recipe: a recipe of its own instead of the profile's; the table shows it as another recipe.
    """

    method: str | None = None
    published: str | None = None
    architecture: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    of: str | None = None
    inheritance: tuple[Inheritance, ...] = ("scratch", "finetune")
    match: Match | None = None
    select: Selection | None = None
    recipe: str | None = None
    search_data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """How much is spent: seeds, sizes, recipe and the options of the methods.

    Attributes:
        given_seeds: retrain seeds of rows with a given architecture, which have no search to repeat (default: the
            same as `retrain_seeds`).
        options: per method (or row) name, what this profile changes in its options.
        search_data: per method (or row) name, how its searches divide and serve the training images where not as the
            method says, see `bench.data.search_protocol`.
        recipe_changes: fields of the recipe that this profile changes; the recipe is then shown with a "*".
        also: by row, further recipes it is trained by, so that a published value can be compared that was trained by
            another; these stand in tables of their own.
        evaluate_every: epochs between evaluations on the test set in a retraining (for curves and best epoch; the
            headline is the last epoch).
        threads: CPU threads of one run; part of the signature, because it decides the bits.
    """

    description: str = ""
    search_seeds: tuple[int, ...] = field(default=(0, 1, 2, 3), metadata=SEEDS)
    retrain_seeds: tuple[int, ...] = field(default=(0,), metadata=SEEDS)
    given_seeds: tuple[int, ...] | None = field(default=None, metadata=SEEDS)
    data: DataSettings = DataSettings()
    network: NetworkSize = NetworkSize()
    recipe: str = "darts-cifar"
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    finetune_recipe: str = "finetune-cifar"
    finetune_changes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    search_data: dict[str, dict[str, Any]] = field(default_factory=dict)
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    threads: int = field(default=1, metadata=within("[1, 1024]"))
    evaluate_every: int = field(default=1, metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for name in ("search_seeds", "retrain_seeds", "given_seeds"):
            seeds = getattr(self, name)
            if seeds is not None:
                check_seeds(name, seeds)


@dataclass(frozen=True)
class Experiment:
    """The content of an experiment file."""

    name: str = field(metadata=NAME)
    dataset: Literal["cifar10", "cifar100", "digits", "imagenet"]
    rows: dict[str, Row]
    profiles: dict[str, Profile]
    description: str = ""

    def __post_init__(self) -> None:
        for what, names, domain in (("row", self.rows, LABEL["domain"]), ("profile", self.profiles, NAME["domain"])):
            if not names:
                raise ConfigError(f"there is no {what}; name at least one under '{what}s'")
            for name in names:
                if name not in domain:
                    raise ConfigError(f"a {what} is called {shown(name)}; it must be {domain.describe('')}")

    def profile(self, name: str) -> Profile:
        """Raises ConfigError for an unknown profile."""
        if name not in self.profiles:
            raise ConfigError(f"experiment {self.name}: unknown profile {shown(name)}" + nearest(name, self.profiles))
        return self.profiles[name]


def experiment_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def check_seeds(name: str, seeds: Sequence[int]) -> None:
    """Raises ConfigError when there is no seed, one twice, or more than anybody waits for."""
    if not seeds:
        raise ConfigError(f"{name} needs at least one seed")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{name} is {shown(list(seeds))}; a seed is named twice")
    if len(seeds) > MOST_SEEDS:
        raise ConfigError(f"{name} has {len(seeds)} seeds; at most {MOST_SEEDS}")


def load_experiment(name: str) -> Experiment:
    """An experiment by its shipped name or the path of a YAML file.

    Raises:
        ConfigError: not found, or anything wrong in it, whatever part of it will be run.
    """
    path = Path(name)
    if not name.endswith((".yaml", ".yml")):
        if name not in experiment_names():
            names = nearest(name, experiment_names())
            raise ConfigError(f"unknown experiment {shown(name)}{names}; or a path to a .yaml")
        path = FOLDER / f"{name}.yaml"
    experiment = parse(Experiment, {"name": path.stem, **read_mapping(path)}, path.name)
    experiment = replace(experiment, rows={label: _beside(path, row) for label, row in experiment.rows.items()})
    for label, row in experiment.rows.items():
        _check_row(experiment, label, row)
    for profile_name, profile in experiment.profiles.items():
        _check_profile(experiment, profile, f"{experiment.name}.profiles.{profile_name}")
    return experiment


def _beside(path: Path, row: Row) -> Row:
    """The row with its architecture's path, which is relative to the experiment file at `path`, made absolute."""
    if row.architecture is None:
        return row
    return replace(row, architecture=os.path.abspath(path.parent / Path(row.architecture).expanduser()))


def _check_profile(experiment: Experiment, profile: Profile, where: str) -> None:
    """Recipes and options as they will be used, and options of methods that no row uses."""
    load_recipe(profile.finetune_recipe, profile.finetune_changes)
    load_recipe(profile.recipe, profile.recipe_changes)
    for row in experiment.rows.values():
        if row.recipe is not None:
            load_recipe(row.recipe, profile.recipe_changes)
    for label, recipes in profile.also.items():
        if label not in experiment.rows:
            raise ConfigError(f"{where}.also: unknown row {shown(label)}" + nearest(label, experiment.rows))
        if experiment.rows[label].of is not None:
            raise ConfigError(f"{where}.also: {label} is a transform; name a row that is trained from scratch alone")
        for name in recipes:
            load_recipe(name, profile.recipe_changes)
    for key, given in profile.options.items():
        if key not in experiment.rows:
            cls, place = _method(key, where + ".options").Options, f"{where}.options.{key}"
            parse(cls, fill_preset(cls, given, place), place)
    for label, row in experiment.rows.items():
        if row.method is not None:
            given, place = given_options(profile, label, row), f"{where} with rows.{label}.options"
            parse(get_method(row.method).Options, fill_preset(get_method(row.method).Options, given, place), place)
            search_protocol_of(profile, label, row, f"{where} with rows.{label}.search_data")
    for key, given in profile.search_data.items():
        if key not in experiment.rows:
            _method(key, where + ".search_data")
            parse(SearchProtocol, given, f"{where}.search_data.{key}")


def given_options(profile: Profile, label: str, row: Row) -> dict[str, Any]:
    """What is said of a row's options: the profile's for the method, then for the row, then the row's own."""
    return {**profile.options.get(row.method or "", {}), **profile.options.get(label, {}), **row.options}


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


def _method(name: str, where: str) -> type[Method]:
    try:
        return get_method(name)
    except MethodError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_row(experiment: Experiment, label: str, row: Row) -> None:
    where = f"{experiment.name}.rows.{label}"
    sources = [name for name in ("method", "published", "architecture") if getattr(row, name) is not None]
    if len(sources) != 1:
        raise ConfigError(f"{where}: give exactly one of method, published, architecture; found {sources or 'none'}")
    if row.published is not None and row.published not in published_names():
        raise ConfigError(
            f"{where}: unknown published genotype {shown(row.published)}" + nearest(row.published, published_names())
        )
    if row.method is None:
        if row.options or row.search_data:
            raise ConfigError(f"{where}: a given architecture has no options and no search_data")
        return
    is_transform = issubclass(_method(row.method, where), Transform)
    if is_transform and row.of is None:
        raise ConfigError(f"{where}: {row.method} makes a trained network smaller; name its row with 'of'")
    if not is_transform and (row.of or row.match):
        raise ConfigError(f"{where}: 'of' and 'match' belong to transforms; {row.method} searches from nothing")
    for other in [row.of, row.match.row if row.match else None]:
        if other is not None and other not in experiment.rows:
            raise ConfigError(f"{where}: unknown row {shown(other)}" + nearest(other, experiment.rows))
        if other is not None and experiment.rows[other].of is not None:
            raise ConfigError(
                f"{where}: row '{other}' is itself a transform; name the row of a search or an architecture"
            )
