"""What can be known before the first run starts, so that nothing a later phase needs is missing when a search is paid.

`check` walks the planned runs of `dasbench run`, `launch` and `--dry-run`; values out of their domains were refused
before, when the experiment was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from bench.config import ConfigError, nearest, restore
from bench.data.augment import get_augmentation
from bench.data.batches import Batches, check_crop
from bench.data.datasets import DataError, ImageData
from bench.data.splits import FinalEvaluation, subset
from bench.plan.recipe import Recipe
from bench.records.directory import RunInfo
from bench.run.phases.check import check_searches
from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.spaces import NetworkSettings
from methods.spaces.image_size import refuse_image_size


def check(planned: Iterable[RunInfo], data: ImageData) -> None:
    """Look at every kind of planned run once.

    Raises:
        ConfigError: something a run needs is not there or does not fit; with the row.
        DataError: the images are too few or lack a class, or the augmentation cannot have them.
    """
    planned = list(planned)
    check_searches(planned, data)
    seen: set[str] = set()
    for info in planned:
        for name, look in _looks(info, data):
            if name not in seen:
                seen.add(name)
                _named(info, look)


def _named(info: RunInfo, look: Callable[[], None]) -> None:
    try:
        look()
    except (ConfigError, ArchitectureError, ValueError) as error:
        raise ConfigError(f"row '{info.label}': {error}") from None
    except DataError as error:
        raise DataError(f"row '{info.label}': {error}") from None


def _looks(info: RunInfo, data: ImageData) -> Iterator[tuple[str, Callable[[], None]]]:
    """What there is to look at in one run; equal looks have equal names."""
    config = info.config
    if "stem" in config:
        plain = NetworkSettings(4, 6, stem=config["stem"], in_channels=data.info.channels)
        size = data.info.image_size
        yield f"stem {config['stem']}", lambda: refuse_image_size(published("DARTS_V2"), plain, size)
    if "recipe" not in config:
        return
    images = config["data"]
    yield f"images {images}", lambda: check_images(data, images["train_images"], images["test_images"])
    recipe = restore(Recipe, config["recipe"], "recipe")
    yield f"recipe {recipe.hash}", lambda: check_recipe(recipe, data)
    settings = NetworkSettings(
        **config["network"], auxiliary=recipe.auxiliary_weight > 0, in_channels=data.info.channels
    )
    given = config.get("architecture", {})
    key = given.get("published") or given.get("digest") or "a searched one"
    yield f"network {key} {settings}", lambda: check_network(info, settings, data.info.image_size)


def check_images(data: ImageData, train_images: int | None, test_images: int | None) -> None:
    """Raises DataError when there are not so many images, or the test images are of other classes."""
    subset(data.train, train_images)
    FinalEvaluation(data, "train", test_images).open_test()


def check_recipe(recipe: Recipe, data: ImageData) -> None:
    """Raises DataError or ConfigError for an augmentation or an optimiser that is not there or cannot be used here."""
    augmentation = get_augmentation(recipe.augmentation, data.info)
    check_crop(data.train.images, augmentation)
    Batches(data.train.images[:1], data.train.labels[:1], 1, augmentation, 0)
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


def check_network(info: RunInfo, settings: NetworkSettings, size: int) -> None:
    """Raises ArchitectureError when the network cannot be built or cannot be trained on images of this size.

    An architecture that is still to be found is stood in for by a published one of the same scale.
    """
    given = info.config.get("architecture", {})
    if info.given is not None:
        architecture = Architecture.load(Path(info.given))
    else:
        architecture = published(given.get("published", "DARTS_V2"))
    refuse_image_size(architecture, settings, size)
