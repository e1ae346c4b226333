"""What can be known of planned runs before the first one starts: whether their searches find the images they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.config import restore
from bench.data.augment import get_augmentation
from bench.data.batches import check_crop
from bench.data.datasets import DataError, ImageData
from bench.data.search_protocol import search_protocol
from bench.data.splits import divide, subset
from bench.plan.stand_ins import stand_in
from bench.records.directory import RunInfo
from methods.base import GradientSearch, SearchSplit
from methods.registry import get_method
from methods.spaces import NetworkSettings
from methods.spaces.image_size import fits, on_meta


def check_searches(planned: Iterable[RunInfo], data: ImageData, processes: int = 1) -> None:
    """Divide the images as every search among some runs will.

    Args:
        processes: that search together; each needs an equal share of every batch.

    Raises:
        DataError: a share that some class cannot give, fewer images than a batch, or an augmentation that these images
            cannot have; with the row.
    """
    seen = set()
    for info in planned:
        if info.phase != "search" or info.origin:
            continue
        cls, protocol = get_method(info.method), search_protocol(info.config)
        split, augmentation = SearchSplit(), protocol.augmentation
        if issubclass(cls, GradientSearch):
            options: Any = restore(cls.Options, info.config["options"], "options")
            split, augmentation = cls.split_of(options), augmentation or cls.augmentation_of(options)
        count = info.config["data"]["train_images"]
        look = split, protocol, count, info.config["options"].get("batch_size"), augmentation
        if look in seen:
            continue
        seen.add(look)
        try:
            divided = protocol.on(data.info.division)
            parts = divide(subset(data.train, count).labels, data.info.classes, split, 0, divided)
            train, valid = (len(part) * data.info.examples for part in parts)
            check_batch(info.config["options"].get("batch_size"), train, "the search trains with")
            check_last_batch(info, data, [train, *([valid] if split.paired else [])])
            if processes > 1 and issubclass(cls, GradientSearch):
                _check_equal_shares(info.config["options"]["batch_size"], train, processes)
            if augmentation is not None:
                check_crop(data.train.images, get_augmentation(augmentation, data.info))
        except DataError as error:
            raise DataError(f"row '{info.label}': {error}") from None


def _check_equal_shares(batch: int, images: int, processes: int) -> None:
    last = images % batch or batch
    if batch % processes or last % processes:
        raise DataError(
            f"{images} images in batches of {batch} leave a last batch of {last}, and {processes} processes that "
            "search together need equal shares; let searches have one (phases: search: {processes: 1}) or change "
            "batch_size"
        )


def check_batch(batch_size: int | None, images: int, what: str) -> None:
    """Raises DataError when a batch is larger than the images it is taken from."""
    if batch_size is not None and batch_size > images:
        raise DataError(
            f"a batch of {batch_size} is larger than the {images} images {what}; make batch_size smaller, or use more "
            "images (data: train_images)"
        )


def check_last_batch(info: RunInfo, data: ImageData, counts: Sequence[int]) -> None:
    """Look whether a search's supernet takes the last batch of an epoch where that is a single image.

    Args:
        counts: images of each part that the search draws batches from.

    Raises:
        DataError: its maps end as one pixel, of which a batch normalisation has nothing to average over.
    """
    config = info.config
    batch = config["options"].get("batch_size") or (config.get("evaluator") or {}).get("batch_size")
    if not batch or batch == 1:
        return
    single = [count for count in counts if count % batch == 1]
    if not single:
        return
    size, channels = data.info.image_size, data.info.channels
    settings = NetworkSettings(4, 6, stem=config.get("stem", "cifar"), in_channels=channels)
    network = on_meta(stand_in(info, {}), settings, data.info.outputs)
    if fits(network, channels, size, images=1):
        return
    nearest = sorted(range(2, min(counts) + 1), key=lambda other: (abs(other - batch), other))
    working = sorted([other for other in nearest if all(count % other != 1 for count in counts)][:4])
    raise DataError(
        f"the search's {single[0]} images in batches of {batch} leave a last batch of one, and images of {size}x{size} "
        "pixels end as maps of one pixel: a batch normalisation then has nothing to average over; use another "
        f"batch_size ({', '.join(map(str, working))} do), or other numbers of images"
    )


def check_shares(planned: Iterable[RunInfo], images: int, processes: int) -> None:
    """Look whether the processes that train together can share every batch, the last one of an epoch too.

    Args:
        images: training images there are.

    Raises:
        DataError: a training whose last batch has fewer images than processes; with the row.
    """
    for info in planned:
        if info.phase != "train":
            continue
        count, batch = info.config["data"]["train_images"] or images, info.config["recipe"]["batch_size"]
        last = count % batch or batch
        if last < processes:
            raise DataError(
                f"row '{info.label}': {count} images in batches of {batch} leave a last batch of {last}, which "
                f"{processes} processes cannot share; change batch_size or train_images, or use fewer processes"
            )
