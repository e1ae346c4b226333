"""Splits: searches divide the training images among themselves; the test images open for a final evaluation only.

A search is handed a `SearchData`, which has no way to the test images. A `FinalEvaluation` made for any phase but
"train" and "inherit" refuses to open them, and so does one that somebody makes for himself while a search runs
(`bench.data.seal`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.images import DataError, DatasetInfo, ImageData, LabelledImages
from bench.data.seal import SealedTestSetError as SealedTestSetError
from bench.data.seal import refuse_while_sealed
from bench.data.search_protocol import AS_THE_METHOD, SearchProtocol
from methods.base import SearchSplit

FINAL = ("train", "inherit")
"""Phases that end in a final evaluation."""
SUBSET_SEED = 0  # reduced profiles use the same images in every run, whatever the run's seeds


@dataclass(frozen=True, slots=True)
class SearchData:
    """All that a search sees: two disjoint parts of the training images. `valid` may be empty."""

    info: DatasetInfo
    train: LabelledImages
    valid: LabelledImages


class FinalEvaluation:
    """Holds the key to the test images; made by the code that runs a phase, never handed to a method."""

    def __init__(self, data: ImageData, phase: str, test_images: int | None = None) -> None:
        """
        Args:
            phase: of the run; only one of `FINAL` may open the test images.
            test_images: how many, for a reduced profile; None means all.
        """
        self._data = data
        self._phase = phase
        self._test_images = test_images

    def open_test(self) -> LabelledImages:
        """The test images.

        Raises:
            SealedTestSetError: the phase is another one, or a search runs in this process.
        """
        if self._phase not in FINAL:
            raise SealedTestSetError(
                f"the test set of '{self._data.info.name}' was asked for in phase '{self._phase}': only the final "
                "evaluation of a network may open it; a search chooses by its validation images"
            )
        refuse_while_sealed(f"the test set of '{self._data.info.name}'")
        return subset(self._data._read_test(), self._test_images)


def search_data(
    data: ImageData,
    split: SearchSplit,
    seed: int,
    train_images: int | None = None,
    protocol: SearchProtocol = AS_THE_METHOD,
) -> SearchData:
    """Divide the training images for a search.

    Args:
        split: the method's fractions of the training images for search-train and search-valid.
        seed: decides which image goes where.
        train_images: divide only this many of the training images (reduced profiles).
        protocol: its shares instead of the method's, exact in every class; or the order of the files.

    Raises:
        DataError: fractions outside their range, an empty part, or a share that a class is too small for.
    """
    images = subset(data.train, train_images)
    train, valid = divide(images.labels, data.info.classes, split, seed, protocol.on(data.info.division))
    return SearchData(data.info, images.select(train), images.select(valid))


def divide(
    labels: Tensor, classes: tuple[str, ...], split: SearchSplit, seed: int, protocol: SearchProtocol
) -> tuple[Tensor, Tensor]:
    """Indices of search-train and search-valid, as `search_data` divides; int64. Raises what it raises."""
    split = protocol.split(split)
    if not (0 < split.train <= 1 and 0 <= split.valid <= 1 and split.train + split.valid <= 1 + 1e-9):
        raise DataError(
            f"split train={split.train}, valid={split.valid}: fractions must be in (0, 1] and sum to at most 1"
        )
    if protocol.by_class:
        return _by_class(labels, split, seed, classes)
    return _ends(torch.arange(len(labels)) if protocol.division == "file" else stratified_order(labels, seed), split)


def _ends(order: Tensor, split: SearchSplit) -> tuple[Tensor, Tensor]:
    """Search-train from the front of an order, search-valid from its end."""
    train_count, valid_count = round(split.train * len(order)), round(split.valid * len(order))
    if train_count + valid_count > len(order):  # both were rounded up
        valid_count -= 1
    if train_count == 0 or (split.valid > 0 and valid_count == 0):
        raise DataError(
            f"split train={split.train}, valid={split.valid} of {len(order)} images leaves a part empty; "
            "use more images or larger fractions"
        )
    return order[:train_count], order[len(order) - valid_count :]


def _by_class(labels: Tensor, split: SearchSplit, seed: int, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """The same from every class: its first images of a random order, and its last."""
    train_counts, valid_counts = class_shares(labels, split, classes)
    order = stratified_order(labels, seed)
    label = labels[order]
    rank = _ranks(label)
    sizes = torch.bincount(labels, minlength=len(classes))
    return order[rank < train_counts[label]], order[rank >= (sizes - valid_counts)[label]]


def class_shares(labels: Tensor, split: SearchSplit, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """How many images of each class go to search-train and to search-valid; int64, (classes,) each.

    A share of a class is rounded to the nearest whole image, a half upwards; where both parts were rounded up beyond
    the class, search-valid gets what is left.

    Raises:
        DataError: a share of some class is less than half an image; the message names the smallest such class.
    """
    sizes = torch.bincount(labels, minlength=len(classes))
    train = torch.floor(sizes * split.train + 0.5).long()
    valid = torch.minimum(torch.floor(sizes * split.valid + 0.5).long(), sizes - train)
    for name, share, counts in (("search-train", split.train, train), ("search-valid", split.valid, valid)):
        if share > 0 and not bool(counts.all()):
            failing = (counts == 0).nonzero().flatten()
            smallest = int(failing[sizes[failing].argmin()])
            others = f" ({len(failing) - 1} other classes are too small, too)" if len(failing) > 1 else ""
            raise DataError(
                f"{name} takes {share:.4g} of the images of every class, which is not one image of class "
                f"'{classes[smallest]}' with its {int(sizes[smallest])}{others}; use larger shares, or at least "
                f"{math.ceil(0.5 / share)} images of every class (data: train_images)"
            )
    return train, valid


def train_data(data: ImageData, train_images: int | None = None) -> LabelledImages:
    """The training images for a retraining: all of them, or a stratified subset for a reduced profile."""
    return subset(data.train, train_images)


def subset(images: LabelledImages, count: int | None, seed: int = SUBSET_SEED) -> LabelledImages:
    """The first `count` images of a stratified order; a smaller subset is part of every larger one. None means all.

    Raises:
        DataError: `count` is not between 1 and the number of images.
    """
    if count is None or count == len(images):
        return images
    if not 0 < count < len(images):
        raise DataError(f"{count} images were asked for, but there are {len(images)}; choose 1 to {len(images)}")
    return images.select(stratified_order(images.labels, seed)[:count])


def at_most(data: ImageData, train_images: int | None, test_images: int | None) -> ImageData:
    """A data set with so many images at most, chosen as `subset` chooses; None means all."""
    train, test = train_images or len(data.train), test_images

    def read_test() -> LabelledImages:
        images = data._read_test()
        return subset(images, min(test or len(images), len(images)))

    return ImageData(data.info, subset(data.train, min(train, len(data.train))), read_test)


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A random permutation whose every prefix holds each class in proportion, up to rounding.

    The k-th of a class's n images (in random order) is placed at (k + 1/2) / n of the way; ties are in random order.

    Args:
        labels: int64, (N,).

    Returns:
        indices, int64, (N,).
    """
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    label = labels[shuffled]
    sizes = torch.bincount(labels) if len(labels) else labels
    place = (_ranks(label).to(torch.float64) + 0.5) / sizes[label]
    return shuffled[torch.argsort(place, stable=True)]


def _ranks(labels: Tensor) -> Tensor:
    """How many of the same class come before each; int64, (N,)."""
    together = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(labels)
    ranks[together] = torch.arange(len(labels)) - starts[labels[together]]
    return ranks
