"""What every registered data set keeps to: a new one is tested by being there, and image folders with them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import load
from bench.data.fingerprint import fingerprint
from bench.data.folder_settings import FolderSettings
from bench.data.folders import load_folder
from bench.data.images import DataError, ImageData, LabelledImages
from bench.data.names import AUGMENTATIONS, DATASET_TASKS
from bench.data.seal import sealed
from bench.data.splits import FinalEvaluation, SealedTestSetError, search_data, train_data
from methods.base import SearchSplit
from tests.bench.image_writers import png

FOLDER = "a folder of one's own"
DATASETS = [name for name, task in DATASET_TASKS.items() if task == "classification"]
"""`tests/bench/test_photographs.py` has those of other tasks."""
every_data_set = pytest.mark.parametrize("name", [*DATASETS, FOLDER])
every_named_one = pytest.mark.parametrize("name", DATASETS)

Loaded = Callable[[], ImageData]


@pytest.fixture
def loaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Reads the data set from what ships, or from a tiny copy in its own layout; nothing is downloaded."""
    torch.set_num_threads(1)
    if name == FOLDER:
        write_folder(tmp_path / "shapes")
        return lambda: load_folder(FolderSettings(str(tmp_path / "shapes")))
    if has_copy(name):
        importlib.import_module(f"tests.contracts.copies.{name}").write(tmp_path, monkeypatch)
    return lambda: load(name, tmp_path, download=False)


def has_copy(name: str) -> bool:
    return importlib.util.find_spec(f"tests.contracts.copies.{name}") is not None


def write_folder(root: Path) -> None:
    random = np.random.default_rng(4)
    for part, count in (("train", 6), ("val", 3)):
        for label in ("round", "square"):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                png(root / part / label / f"{number}.png", random.integers(0, 256, (12, 12, 3), dtype=np.uint8))


def opened(data: ImageData) -> LabelledImages:
    return FinalEvaluation(data, "train").open_test()


def pixels(data: ImageData, part: LabelledImages) -> Tensor:
    """As a network is given them in evaluation: float, (N, C, S, S)."""
    batches = evaluation_batches(part.images, part.labels, 64, get_augmentation("none", data.info))
    return torch.cat([images for images, _ in batches.epoch(0)])


def contents(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@every_data_set
def test_it_says_what_it_is(name: str, loaded: Loaded) -> None:
    info = loaded().info
    assert info.name == ("shapes" if name == FOLDER else name)
    assert len(info.mean) == len(info.std) == info.channels
    assert info.channels in (1, 3)
    assert all(0 < value < 1 for value in (*info.mean, *info.std))
    assert len(set(info.classes)) == info.num_classes >= 2
    assert 0 < info.padding < info.image_size
    assert 0 < info.cutout <= info.image_size
    assert info.stem in ("cifar", "imagenet")


@every_data_set
def test_images_and_labels_have_their_shapes_and_types(loaded: Loaded) -> None:
    data = loaded()
    shape = (data.info.channels, data.info.image_size, data.info.image_size)
    for part in (data.train, opened(data)):
        assert part.labels.shape == (len(part.images),)
        assert part.labels.dtype == torch.int64
        assert part.labels.unique().tolist() == list(range(data.info.num_classes)), "a class without an image"
        if isinstance(part.images, Tensor):
            assert (part.images.dtype, part.images.shape[1:]) == (torch.uint8, shape)
        served = pixels(data, part)
        assert (served.dtype, served.shape) == (torch.float32, (len(part), *shape))
        assert bool(served.isfinite().all())
        assert float(served.std()) > 0.1


@every_data_set
def test_no_image_is_in_two_parts(loaded: Loaded) -> None:
    data = loaded()
    halves = search_data(data, SearchSplit(0.5, 0.5), seed=1)
    test, train = (contents(pixels(data, part)) for part in (opened(data), data.train))
    first, second = (contents(pixels(data, part)) for part in (halves.train, halves.valid))
    assert not test & train
    assert not first & second
    assert first | second == train
    assert not {"test", "_read_test"} & {field.name for field in fields(halves)}


@every_data_set
def test_both_halves_of_a_search_have_all_classes(loaded: Loaded) -> None:
    data = loaded()
    halves = search_data(data, SearchSplit(0.5, 0.5), seed=1)
    for half in (halves.train, halves.valid):
        counts = half.labels.bincount(minlength=data.info.num_classes)
        whole = data.train.labels.bincount(minlength=data.info.num_classes)
        assert bool(((counts - whole / 2).abs() <= 1).all())


@every_data_set
def test_its_test_images_are_sealed_while_somebody_searches(loaded: Loaded) -> None:
    data = loaded()
    with sealed("a search"), pytest.raises(SealedTestSetError, match="during a search"):
        opened(data)
    with pytest.raises(SealedTestSetError, match="in phase 'search'"):
        FinalEvaluation(data, "search").open_test()
    assert {field.name for field in fields(data) if not field.name.startswith("_")} == {"info", "train"}
    assert len(opened(data)) > 0


@every_data_set
def test_it_is_the_same_each_time_and_in_part(loaded: Loaded) -> None:
    one, other = loaded(), loaded()
    for read in (lambda data: data.train, opened):
        assert fingerprint(read(one), one.info.classes) == fingerprint(read(other), other.info.classes)
        assert torch.equal(pixels(one, read(one)), pixels(other, read(other)))
    assert one.info == other.info
    few = train_data(one, 2 * one.info.num_classes)
    assert len(few) == 2 * one.info.num_classes
    assert contents(pixels(one, few)) <= contents(pixels(one, one.train))


@every_data_set
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_it_can_be_augmented(loaded: Loaded, augmentation: str) -> None:
    """Except by what is done while files are decoded, where there are none."""
    data = loaded()
    chosen = get_augmentation(augmentation, data.info)
    part = train_data(data, data.info.num_classes)
    if chosen.resized_crop and isinstance(part.images, Tensor):
        with pytest.raises(DataError, match="files"):
            Batches(part.images, part.labels, 4, chosen, seed=1)
        return
    images, labels = next(Batches(part.images, part.labels, 4, chosen, seed=1).epoch(0))
    count = min(4, len(part))
    assert images.shape == (count, data.info.channels, data.info.image_size, data.info.image_size)
    assert labels.shape == (count,)
    assert bool(images.isfinite().all())


@every_named_one
def test_where_it_is_not_there_it_says_what_to_do(name: str, tmp_path: Path) -> None:
    if not has_copy(name):
        assert len(load(name, tmp_path / "empty", download=False).train) > 0, f"{name} ships, or has a tiny copy"
        return
    with pytest.raises(DataError, match=rf"(?s)data set '{name}': {tmp_path}/.* is missing.*DATA_ROOT.*make demo"):
        load(name, tmp_path, download=False)


@every_named_one
def test_another_size_is_honoured_or_refused(name: str, loaded: Loaded, tmp_path: Path) -> None:
    """Files are decoded to any size; images in memory have theirs."""
    data = loaded()
    if isinstance(data.train.images, Tensor):
        with pytest.raises(DataError, match=f"images of {data.info.image_size} pixels, not 24"):
            load(name, tmp_path, download=False, image_size=24)
    else:
        other = load(name, tmp_path, download=False, image_size=24)
        assert pixels(other, other.train).shape[2:] == (24, 24)
