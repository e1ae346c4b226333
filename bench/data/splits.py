"""Splits: searches divide the training images among themselves; the test images open for a final evaluation only.

A search is handed a `SearchData`, which has no way to the test images. A `FinalEvaluation` made for any phase but
"train" refuses to open them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.datasets import DataError, DatasetInfo, ImageData, LabelledImages
from methods.base import SearchSplit

SUBSET_SEED = 0  # reduced profiles use the same images in every run, whatever the run's seeds


class SealedTestSetError(RuntimeError):
    """Something other than a final evaluation asked for the test set."""


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
            phase: of the run; only "train" may open the test images.
            test_images: how many, for a reduced profile; None means all.
        """
        self._data = data
        self._phase = phase
        self._test_images = test_images

    def open_test(self) -> LabelledImages:
        """The test images.

        Raises:
            SealedTestSetError: the phase is not "train".
        """
        if self._phase != "train":
            raise SealedTestSetError(
                f"the test set of '{self._data.info.name}' was asked for in phase '{self._phase}': only the final "
                "evaluation of a retraining may open it; a search chooses by its validation images"
            )
        return subset(self._data._read_test(), self._test_images)


def search_data(data: ImageData, split: SearchSplit, seed: int, train_images: int | None = None) -> SearchData:
    """Divide the training images for a search, stratified by class.

    Args:
        split: fractions of the training images for search-train and search-valid.
        seed: decides which image goes where.
        train_images: divide only this many of the training images (reduced profiles).

    Raises:
        DataError: fractions outside their range, or an empty search-train part.
    """
    if not (0 < split.train <= 1 and 0 <= split.valid <= 1 and split.train + split.valid <= 1 + 1e-9):
        raise DataError(
            f"split train={split.train}, valid={split.valid}: fractions must be in (0, 1] and sum to at most 1"
        )
    images = subset(data.train, train_images)
    order = stratified_order(images.labels, seed)
    train_count, valid_count = round(split.train * len(order)), round(split.valid * len(order))
    if train_count + valid_count > len(order):  # both were rounded up
        valid_count -= 1
    if train_count == 0 or (split.valid > 0 and valid_count == 0):
        raise DataError(
            f"split train={split.train}, valid={split.valid} of {len(order)} images leaves a part empty; "
            "use more images or larger fractions"
        )
    train, valid = order[:train_count], order[len(order) - valid_count :]
    return SearchData(data.info, images.select(train), images.select(valid))


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


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A random permutation whose every prefix holds each class in proportion, up to rounding.

    The k-th of a class's n images (in random order) is placed at (k + 1/2) / n of the way; ties are in random order.

    Args:
        labels: int64, (N,).

    Returns:
        indices, int64, (N,).
    """
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique().tolist():
        members = (labels[shuffled] == label).nonzero().flatten()
        place[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return shuffled[torch.argsort(place, stable=True)]
