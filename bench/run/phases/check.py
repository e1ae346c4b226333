"""What can be known of planned runs before the first one starts: whether their searches find the images they need."""

from __future__ import annotations

from collections.abc import Iterable

from bench.config import restore
from bench.data.augment import get_augmentation
from bench.data.batches import check_crop
from bench.data.datasets import DataError, ImageData
from bench.data.search_protocol import search_protocol
from bench.data.splits import divide, subset
from bench.records.directory import RunInfo
from methods.base import GradientSearch, SearchSplit
from methods.registry import get_method


def check_searches(planned: Iterable[RunInfo], data: ImageData) -> None:
    """Divide the images as every search among some runs will.

    Raises:
        DataError: a share that some class cannot give, or an augmentation that these images cannot have; with the row.
    """
    seen = set()
    for info in planned:
        if info.phase != "search":
            continue
        cls, protocol = get_method(info.method), search_protocol(info.config)
        split = SearchSplit()
        if issubclass(cls, GradientSearch):
            split = cls.split_of(restore(cls.Options, info.config["options"], "options"))
        count = info.config["data"]["train_images"]
        if (split, protocol, count) in seen:
            continue
        seen.add((split, protocol, count))
        try:
            divide(subset(data.train, count).labels, data.info.classes, split, 0, protocol)
            if protocol.augmentation is not None:
                check_crop(data.train.images, get_augmentation(protocol.augmentation, data.info))
        except DataError as error:
            raise DataError(f"row '{info.label}': {error}") from None
