"""ImageNet's experiment on small folders in the place of ImageNet: what is refused before anything runs, and how much
of a folder its quick profile takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.cli import main
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.run.images import images_of
from bench.run.phases.check import check_searches
from tests.bench.image_writers import png

CLASSES, TRAIN, VAL = ("n01", "n02"), 130, 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_ROOT with two classes, 130 training images and three for testing in each."""
    folder, random = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("val", VAL)):
        for name in CLASSES:
            (folder / "imagenet" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (66, 70, 3), dtype=np.uint8)
                png(folder / "imagenet" / part / name / f"{number}.png", pixels)
    return folder


@pytest.fixture
def root(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(drawn, tmp_path / "data")
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    return tmp_path / "data" / "imagenet"


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The one error of a command that made nothing."""
    where = ["--profile", "quick", "--runs-dir", str(tmp_path / "runs"), "--no-tracking"]
    assert main(["run", "imagenet", "--methods", "darts", *where, *more]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "Timing" not in captured.out
    assert not list((tmp_path / "runs").glob("imagenet-quick/*"))
    return captured.err


def test_a_wrong_layout(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(root / "val")
    assert "val" in refused(tmp_path, capsys)
    shutil.rmtree(root)
    assert "imagenet" in refused(tmp_path, capsys)


def test_a_flat_folder_of_test_images(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in CLASSES:
        for path in (root / "val" / name).iterdir():
            path.rename(root / "val" / f"{name}-{path.name}")
        (root / "val" / name).rmdir()
    assert "val" in refused(tmp_path, capsys)


def test_an_empty_class(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (root / "train" / "n02").iterdir():
        path.unlink()
    assert "n02" in refused(tmp_path, capsys)


def test_other_classes_to_test_on(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "val" / "n02").rename(root / "val" / "n03")
    said = refused(tmp_path, capsys)
    assert "n02" in said or "n03" in said


def test_a_class_too_small_for_its_share(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, TRAIN):
        (root / "train" / "n02" / f"{number}.png").unlink()
    assert "not one image of class 'n02' with its 1" in refused(tmp_path, capsys)


def test_a_batch_larger_than_the_images(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in CLASSES:
        for number in range(60, TRAIN):
            (root / "train" / name / f"{number}.png").unlink()
    assert "a batch of 64 is larger than the 60 images the search trains with" in refused(tmp_path, capsys)


def test_the_quick_profile_takes_a_folder_of_any_size(root: Path, tmp_path: Path) -> None:
    planned = plan(load_experiment("imagenet"), "quick", ["darts"])
    data = images_of(planned, tmp_path)
    assert data is not None
    assert (len(data.train), data.info.image_size) == (2 * TRAIN, 64)
    for info in planned:
        info.config["data"] |= {"most_train_images": 200, "most_test_images": 4}
    less = images_of(planned, tmp_path)
    assert less is not None
    assert less.train.labels.bincount().tolist() == [100, 100]
    assert less._read_test().labels.bincount().tolist() == [2, 2]
    check_searches(planned, less)
