"""Loading: what is there is right, and what is missing or damaged is named together with the next step."""

import hashlib
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from bench.data import cifar
from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import DataError, load
from bench.data.decoding import ImageFileError
from bench.data.image_files import CROP_TRIES, ImageFiles, random_resized_box
from bench.data.splits import FinalEvaluation

REAL_CIFAR = Path(os.environ.get("DATA_ROOT", "data"))


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of 20 + 10 random images in the published file format, with md5 sums to match."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    random = np.random.default_rng(0)

    def write(name: str, content: dict) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def part(labels: list[int]) -> dict:
        return {"data": random.integers(0, 256, (len(labels), 3072), dtype=np.uint8), "labels": labels}

    train = [write(f"data_batch_{k}", part(list(range(10)))) for k in (1, 2)]
    test = [write("test_batch", part(list(range(10))[::-1]))]
    meta = write("batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", test)
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    monkeypatch.setenv("DASBENCH_DOWNLOAD", "0")
    return tmp_path


def test_cifar_tensors_are_the_files_content(small_cifar: Path) -> None:
    data = load("cifar10", small_cifar)
    raw = pickle.loads((small_cifar / CIFAR10.base_folder / "data_batch_2").read_bytes())["data"]
    assert data.train.images.shape == (20, 3, 32, 32)
    assert data.train.images.dtype == torch.uint8
    assert torch.equal(data.train.images[13], torch.from_numpy(raw[3]).view(3, 32, 32))
    assert data.train.labels.tolist() == list(range(10)) * 2
    assert data.train.labels.dtype == torch.int64
    assert data.info.classes[3] == "class 3"
    assert FinalEvaluation(data, "train").open_test().labels.tolist() == list(range(10))[::-1]


def test_missing_file_is_named_with_md5_place_and_alternative(small_cifar: Path) -> None:
    path = small_cifar / CIFAR10.base_folder / "data_batch_2"
    path.unlink()
    with pytest.raises(DataError) as caught:
        load("cifar10", small_cifar)
    message = str(caught.value)
    for part in (str(path), "is missing", CIFAR10.train_list[1][1], "DATA_ROOT", str(small_cifar), "make demo"):
        assert part in message
    assert CIFAR10.tgz_md5 in message


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_damaged_file_is_named_with_both_md5_sums(small_cifar: Path, name: str) -> None:
    path = small_cifar / CIFAR10.base_folder / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    expected = dict([*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]])[name]
    with pytest.raises(DataError) as caught:
        load("cifar10", small_cifar)
    for part in (f"{path} is damaged", hashlib.md5(content).hexdigest(), f"expected {expected}", "make demo"):
        assert part in str(caught.value)


def test_no_folder_and_no_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-100-python/train is missing \(expected md5 16019d7e"):
        load("cifar100", tmp_path, download=False)


def test_failed_download_ends_soon_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")  # nothing listens there
    started = time.monotonic()
    with pytest.raises(DataError, match=r"the download failed: .*(?s:.*)make demo"):
        load("cifar10", tmp_path, download=True)
    assert time.monotonic() - started < 2 * cifar.DOWNLOAD_TIMEOUT_S
    assert [p.name for p in tmp_path.iterdir()] == [".cifar10.lock"]


def test_folder_that_cannot_be_written_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the download failed: .*File exists"):
        load("cifar10", tmp_path / "file", download=True)


def test_unknown_name_and_size() -> None:
    with pytest.raises(DataError, match=r"'cifar-10'; did you mean 'cifar10'\? Known: cifar10, cifar100, digits"):
        load("cifar-10")
    with pytest.raises(DataError, match="8 pixels, not 32"):
        load("digits", image_size=32)


def test_digits_are_complete_and_every_class_is_split_alike() -> None:
    data = load("digits")
    test = FinalEvaluation(data, "train").open_test()
    assert (len(data.train), len(test)) == (1442, 355)
    assert data.train.images.shape == (1442, 1, 8, 8)
    assert data.train.images.max() == 255
    for part in (data.train, test):
        shares = part.labels.bincount() / len(part)
        assert shares.min() > 0.095
        assert shares.max() < 0.105
    pixels = data.train.images.double() / 255
    assert float(pixels.mean()) == pytest.approx(data.info.mean[0])
    assert not data.info.flip


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    for part, count in (("train", 4), ("val", 2)):
        for name in ("n01", "n02", "n03"):
            folder = tmp_path / "imagenet" / part / name
            folder.mkdir(parents=True)
            for k in range(count):
                pixels = random.integers(0, 256, (40 + 4 * k, 56, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{k}.png")
    return tmp_path


def test_imagenet_folder_is_decoded_batch_by_batch(image_folder: Path) -> None:
    data = load("imagenet", image_folder, image_size=32)
    assert (data.info.num_classes, len(data.train), data.info.stem) == (3, 12, "imagenet")
    augmentation = get_augmentation("resized-crop-flip-jitter", data.info)
    batches = Batches(data.train.images, data.train.labels, 5, augmentation, seed=3)
    whole = list(batches.epoch(1))
    assert [tuple(images.shape) for images, _ in whole] == [(5, 3, 32, 32), (5, 3, 32, 32), (2, 3, 32, 32)]
    resumed = list(batches.epoch(1, start_step=2))
    assert len(resumed) == 1
    assert torch.equal(resumed[0][0], whole[2][0])
    assert not torch.equal(next(batches.epoch(2))[0], whole[0][0])
    test = FinalEvaluation(data, "train").open_test()
    served = list(evaluation_batches(test.images, test.labels, 4, get_augmentation("none", data.info)).epoch(0))
    assert torch.cat([labels for _, labels in served]).tolist() == [0, 0, 1, 1, 2, 2]


def test_imagenet_errors_name_the_folder_or_the_file(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere/train is missing"):
        load("imagenet", tmp_path / "nowhere")
    broken = image_folder / "imagenet" / "train" / "n02" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    data = load("imagenet", image_folder, image_size=32)
    assert isinstance(data.train.images, ImageFiles)
    with pytest.raises(ImageFileError, match=r"cannot decode .*n02/1\.png"):
        data.train.images.read(torch.arange(12), None)


def test_random_resized_boxes_stay_inside_and_keep_their_ranges() -> None:
    draws = torch.rand(500, CROP_TRIES, 4, generator=torch.Generator().manual_seed(0))
    areas = []
    for draw in draws:
        top, left, height, width = random_resized_box(300, 400, draw)
        assert top >= 0
        assert left >= 0
        assert top + height <= 300
        assert left + width <= 400
        assert 0.74 < width / height < 1.35
        areas.append(height * width / 120_000)
    assert min(areas) < 0.12
    assert max(areas) > 0.9
    top, left, height, width = random_resized_box(10, 1000, torch.full((CROP_TRIES, 4), 0.999))
    assert (top, left, height, width) == (0, 493, 10, 13)


@pytest.mark.cifar
@pytest.mark.skipif(not (REAL_CIFAR / CIFAR10.base_folder).exists(), reason="no CIFAR-10 under DATA_ROOT")
def test_real_cifar10() -> None:
    data = load("cifar10", REAL_CIFAR, download=False)
    assert data.train.images.shape == (50_000, 3, 32, 32)
    assert data.train.labels.bincount().tolist() == [5000] * 10
    assert FinalEvaluation(data, "train").open_test().labels.bincount().tolist() == [1000] * 10
    assert data.info.classes[6] == "frog"
    sums = data.train.images[:].sum((0, 2, 3), dtype=torch.int64)
    assert (sums / (255 * 50_000 * 1024)).tolist() == pytest.approx(data.info.mean, abs=1e-4)
