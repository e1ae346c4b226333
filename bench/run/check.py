"""What can be known before the first run starts, so that nothing a later phase needs is missing when a search is paid.

`check` walks the planned runs of `dasbench run`, `launch` and `--dry-run`; values out of their domains were refused
before, when the experiment was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.config import ConfigError, nearest, restore
from bench.data import kept
from bench.data.augment import get_augmentation
from bench.data.batches import check_crop
from bench.data.datasets import DataError, DatasetInfo, ImageData
from bench.data.decoding import ImageFileError
from bench.data.fingerprint import fingerprint
from bench.data.image_files import ImageFiles
from bench.data.patches import batches_of, input_side
from bench.data.splits import FinalEvaluation, subset
from bench.data.survey import refuse_unreadable, survey, surveyed
from bench.plan.recipe import Recipe
from bench.plan.row_cost import RowCost
from bench.plan.stand_ins import searched_space, stand_in
from bench.records.directory import RunInfo
from bench.records.run_info import needs_images
from bench.run.phases.check import check_batch, check_searches
from methods.architecture import ArchitectureError
from methods.parts.costs.counts import Built
from methods.spaces import NetworkSettings, get_space
from methods.spaces.image_size import refuse_image_size


def check(planned: Iterable[RunInfo], data: ImageData) -> None:
    """Look at every kind of planned run once.

    Raises:
        ConfigError: something a run needs is not there or does not fit; with the row.
        DataError: the images are too few or lack a class, or the augmentation cannot have them.
    """
    by_signature = {info.signature: info for info in planned}
    planned = [info for info in by_signature.values() if not info.origin]
    check_searches(planned, data)
    seen: set[str] = set()
    for info in planned:
        for name, look in _looks(info, data, by_signature):
            if name not in seen:
                seen.add(name)
                _named(info, look)


def check_packages(planned: Iterable[RunInfo]) -> None:
    """Raises ConfigError where a run needs a package that is not installed, with the extra that brings it."""
    rows = dict.fromkeys(info.label for info in planned if info.phase == "compare")
    if rows and find_spec("torch_geometric") is None:
        raise ConfigError(
            f"rows {', '.join(rows)}: networks of graphs are made of PyTorch Geometric, which is not installed; "
            "pip install 'dasbench[graphs]'"
        )


def _named(info: RunInfo, look: Callable[[], None]) -> None:
    try:
        look()
    except (ConfigError, ArchitectureError, ValueError) as error:
        raise ConfigError(f"row '{info.label}': {error}") from None
    except DataError as error:
        raise DataError(f"row '{info.label}': {error}") from None


def _looks(info: RunInfo, data: ImageData, planned: Mapping[str, RunInfo]) -> Iterator[tuple[str, Callable[[], None]]]:
    """What there is to look at in one run; equal looks have equal names."""
    config = info.config
    if "stem" in config:
        plain = NetworkSettings(4, 6, stem=config["stem"], in_channels=data.info.channels)
        usual = stand_in(info, planned)
        fits = partial(refuse_image_size, usual, plain, data.info.image_size, data.info.outputs)
        yield f"stem {config['stem']} {usual.space}", fits
    if "cost" in config and info.measured is not None:
        yield f"latency {info.measured} {config['cost']} {config['network']}", partial(check_latency, info, data)
    if "recipe" not in config:
        return
    images = config["data"]
    yield f"images {images}", lambda: check_images(data, images["train_images"], images["test_images"])
    recipe = restore(Recipe, config["recipe"], "recipe")
    count = (images["train_images"] or len(data.train)) * data.info.examples
    yield f"batch {recipe.batch_size}", lambda: check_batch(recipe.batch_size, count, "there are to train with")
    yield f"recipe {recipe.hash}", lambda: check_recipe(recipe, data)
    settings = NetworkSettings(
        **config["network"], auxiliary=recipe.auxiliary_weight > 0, in_channels=data.info.channels
    )
    yield f"architecture {info.given}", partial(_readable, info, planned)
    architecture = stand_in(info, planned)
    for space in settings.scales:
        yield f"scale of {space} {settings}", partial(check_scale, space, settings, data.info)
    side = input_side(data.train.images, get_augmentation(recipe.augmentation, data.info))
    look = partial(refuse_image_size, architecture, settings, side, data.info.outputs)
    yield f"network {architecture.digest} {settings} {side}", look


def check_latency(info: RunInfo, data: ImageData) -> None:
    """Raises LatencyError for a file of latencies that a search cannot use."""
    from bench.latency.fitted_file import load_cost  # most experiments have none

    assert info.measured is not None
    wanted = restore(RowCost, info.config["cost"], "cost")
    settings = NetworkSettings(**info.config["network"], in_channels=data.info.channels)
    built = Built(data.info.outputs, settings, data.info.image_size)
    load_cost(Path(info.measured), searched_space(info), wanted.predictor, device=wanted.device, network=built)


def _readable(info: RunInfo, planned: Mapping[str, RunInfo]) -> None:
    """Raises ArchitectureError for a given architecture that cannot be read."""
    stand_in(info, planned)


def check_images(data: ImageData, train_images: int | None, test_images: int | None) -> None:
    """Raises DataError when there are not so many images, or too few for every class."""
    labels = subset(data.train, train_images).labels
    FinalEvaluation(data, "train", test_images).open_test()
    lacking = (torch.bincount(labels, minlength=data.info.num_classes) == 0).nonzero().flatten().tolist()
    if lacking:
        raise DataError(
            f"{len(labels)} training images hold none of class '{data.info.classes[lacking[0]]}'"
            + (f" and {len(lacking) - 1} others" if len(lacking) > 1 else "")
            + f" of {data.info.num_classes} classes; use more images (data: train_images)"
        )


def check_files(
    planned: Sequence[RunInfo], data: ImageData, runs_dir: Path, note: Callable[[str], None], most: int | None = None
) -> None:
    """See once that every image file planned runs use can be decoded; a folder was surveyed when it was loaded.

    Args:
        most: leave it when so many have not been looked at, and say so.

    Raises:
        DataError: with the names of all files that cannot be read.
    """
    config = next(info.config for info in planned if needs_images(info))
    if not isinstance(data.train.images, ImageFiles) or "folder" in config:
        return
    count = config["data"]
    where = kept.places(Path(data.train.images.root).parent, runs_dir)
    unreadable: list[ImageFileError] = []
    parts = subset(data.train, count["train_images"]), FinalEvaluation(data, "train", count["test_images"]).open_test()
    for part in parts:
        assert isinstance(part.images, ImageFiles)
        digest = fingerprint(part, data.info.classes)["digest"]
        if most is not None and len(part) > most and not surveyed(part.images, digest, where):
            note(f"{len(part):,} images have not been looked at; `dasbench doctor {data.info.name}` decodes them once")
            continue
        unreadable += survey(part.images, digest, where, note)[1]
    refuse_unreadable(data.info.name, unreadable, where)


def check_recipe(recipe: Recipe, data: ImageData) -> None:
    """Raises DataError or ConfigError for an augmentation or an optimiser that is not there or cannot be used here."""
    augmentation = get_augmentation(recipe.augmentation, data.info)
    check_crop(data.train.images, augmentation)
    batches_of(data.train)(data.train.images[:1], data.train.labels[:1], 1, augmentation, 0)
    if recipe.optimizer == "sgd":
        return
    from timm.optim import create_optimizer_v2, list_optimizers

    if recipe.optimizer not in list_optimizers():
        raise ConfigError(f"unknown optimizer '{recipe.optimizer}'" + nearest(recipe.optimizer, list_optimizers()))
    options: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "momentum": recipe.momentum}
    try:
        create_optimizer_v2(torch.nn.Linear(2, 2), opt=recipe.optimizer, **options)
    except Exception as error:  # each optimizer refuses in its own way
        raise ConfigError(f"optimizer '{recipe.optimizer}' cannot be made: {error}") from None


def check_scale(space: str, settings: NetworkSettings, data: DatasetInfo) -> None:
    """Raises ArchitectureError for an unknown space, or a scale at which its networks cannot be built and trained."""
    sample = get_space(space).sample(torch.Generator().manual_seed(0))
    refuse_image_size(sample, settings, data.image_size, data.outputs)
