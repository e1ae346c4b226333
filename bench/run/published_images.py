"""Data sets as they are published: what runs are reckoned with where the images are not here, or stay closed."""

from __future__ import annotations

from bench.data.images import DatasetInfo
from bench.records.run_info import RunInfo

PUBLISHED = {
    "cifar10": (10, 50_000, 10_000, 32),
    "cifar100": (100, 50_000, 10_000, 32),
    "imagenet": (1000, 1_281_167, 50_000, 224),
}
"""Classes, training images, images of the final evaluation, and pixels of a side (ImageNet: ILSVRC 2012)."""


def published_data(info: RunInfo) -> tuple[DatasetInfo, int] | None:
    """What a data set is known to be, and its training images as the profile takes them; None for any other."""
    if info.dataset not in PUBLISHED:
        return None
    classes, images, _, size = PUBLISHED[info.dataset]
    data = info.config["data"]
    names = tuple(map(str, range(classes)))
    stem = "imagenet" if info.dataset == "imagenet" else "cifar"
    described = DatasetInfo(info.dataset, (0.5,) * 3, (0.5,) * 3, names, data["image_size"] or size, 4, 16, stem=stem)
    return described, min(images, data.get("most_train_images") or images)


def test_images(info: RunInfo, train: int) -> int:
    """Of a final evaluation, which nobody may open to count them: as many as there are to train on, where it is not
    known."""
    data = info.config["data"]
    published = PUBLISHED[info.dataset][2] if info.dataset in PUBLISHED else train
    return data["test_images"] or min(published, data.get("most_test_images") or published)
