"""Any image folder as a data set: what is in it is found, what is wrong with it is one clear error before anything."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench.cli import main
from bench.config import ConfigError
from bench.data import kept, survey
from bench.data.augment import get_augmentation
from bench.data.batches import Batches
from bench.data.folder_settings import FolderSettings
from bench.data.folders import load_folder
from bench.data.image_files import ImageFiles
from bench.data.images import DataError, ImageData
from bench.data.splits import FinalEvaluation
from bench.plan.experiment import load_experiment
from tests.bench.image_folders import class_folders, experiment
from tests.bench.image_writers import png, pnm, tiff


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    class_folders(tmp_path / "shapes" / "train", {"a": 12, "b": 8})
    class_folders(tmp_path / "shapes" / "val", {"a": 4, "b": 4})
    return tmp_path / "shapes"


def settings(folder: Path, **more: object) -> FolderSettings:
    return FolderSettings(str(folder), **more)  # type: ignore[arg-type]


def images_of(part: object) -> ImageFiles:
    assert isinstance(part, ImageFiles)
    return part


def served(data: ImageData) -> torch.Tensor:
    return images_of(data.train.images).read(torch.arange(len(data.train)), None)


def test_classes_size_and_statistics_are_those_of_the_files(folder: Path) -> None:
    data = load_folder(settings(folder))
    assert (data.info.name, data.info.classes, data.info.image_size) == ("shapes", ("a", "b"), 16)
    assert data.train.labels.tolist() == [0] * 12 + [1] * 8
    test = FinalEvaluation(data, "train").open_test()
    assert images_of(test.images).names[0] == "a/0.png"
    pixels = np.stack([np.asarray(Image.open(folder / "train" / name)) for name in images_of(data.train.images).names])
    assert np.array_equal(served(data).permute(0, 2, 3, 1).numpy(), pixels), "images of the size are served whole"
    assert data.info.mean == pytest.approx((pixels / 255).mean((0, 1, 2)), abs=1e-12)
    assert data.info.std == pytest.approx((pixels / 255).std((0, 1, 2)), abs=1e-9)
    augmented = Batches(data.train.images, data.train.labels, 6, get_augmentation("crop-flip-cutout", data.info), 0)
    assert [tuple(images.shape) for images, _ in augmented.epoch(0)] == [(6, 3, 16, 16)] * 3 + [(2, 3, 16, 16)]


def test_every_image_counts_the_same_whatever_its_size(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "mixed" / label).mkdir(parents=True)
        for k, side in enumerate((10, 30)):
            png(tmp_path / "mixed" / label / f"{k}.png", np.full((side, side, 3), 100 * k, "uint8"))
    data = load_folder(settings(tmp_path / "mixed", test=0.5))
    assert data.info.image_size == 224
    assert set(data.info.mean) <= {0.0, 50 / 255, 100 / 255}
    assert data.info.padding == 28


def test_a_share_is_exact_in_every_class_and_the_same_every_time(tmp_path: Path) -> None:
    class_folders(tmp_path / "flat", {"a": 20, "b": 10, "c": 5})
    data = load_folder(settings(tmp_path / "flat", test=0.2))
    test = FinalEvaluation(data, "train").open_test()
    assert test.labels.bincount().tolist() == [4, 2, 1]
    names = images_of(data.train.images).names, images_of(test.images).names
    assert not set(names[0]) & set(names[1])
    assert len({*names[0], *names[1]}) == 35
    shutil.copytree(tmp_path / "flat", tmp_path / "elsewhere")
    again = load_folder(settings(tmp_path / "elsewhere", test=0.2, name="flat"))
    assert images_of(again.train.images).names == names[0]


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    class_folders(tmp_path / "vehicles", {"train": 4, "bus": 4})
    assert load_folder(settings(tmp_path / "vehicles", test=0.5)).info.classes == ("bus", "train")


def test_one_of_each_odd_kind_and_nothing_is_lost(folder: Path) -> None:
    one, grey = np.random.default_rng(0), np.zeros((9, 9), "uint8")
    place = folder / "train" / "c"
    (place / "below").mkdir(parents=True)
    (folder / "val" / "c").mkdir()
    png(folder / "val" / "c" / "0.png", one.integers(0, 256, (16, 16, 3), dtype="uint8"))
    png(place / "sixteen.PNG", one.integers(0, 65536, (9, 9, 1), dtype="uint16"))
    png(place / "alpha.png", one.integers(0, 256, (9, 9, 4), dtype="uint8"))
    png(place / "palette.png", one.integers(0, 5, (9, 9, 1), dtype="uint8"), np.eye(5, 3, dtype="uint8") * 255)
    pnm(place / "portable.pgm", one.integers(0, 256, (9, 9, 1), dtype="uint8"))
    tiff(place / "ink.tif", one.integers(0, 256, (9, 9, 4), dtype="uint8"), 5)
    tiff(place / "below" / "deep.tiff", one.integers(0, 65536, (9, 9, 1), dtype="uint16"), 1)
    Image.fromarray(grey).save(place / "frames.gif", save_all=True, append_images=[Image.fromarray(grey + 200)])
    png(place / "no suffix", one.integers(0, 256, (9, 9, 3), dtype="uint8"))
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        class_folders(folder / "train", {hidden: 1})
    (place / "Thumbs.db").write_text("")
    (place / "notes.txt").write_text("no image")
    data = load_folder(settings(folder))
    assert data.info.classes == ("a", "b", "c")
    assert data.train.labels.bincount().tolist() == [12, 8, 8]
    assert data.info.image_size == 224


def test_all_unreadable_files_are_named_at_once(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "train" / "a" / "3.png").read_bytes()
    (folder / "train" / "a" / "3.png").write_bytes(whole[:200])
    (folder / "train" / "b" / "phone.heic").write_bytes(b"of a kind that is not read")
    (folder / "val" / "b" / "0.png").unlink()
    (folder / "val" / "b" / "0.png").symlink_to("nowhere.png")
    with pytest.raises(DataError) as caught:
        load_folder(settings(folder))
    assert "3 files cannot be read" in str(caught.value)
    for name in ("train/a/3.png", "train/b/phone.heic", "val/b/0.png"):
        assert f"cannot decode {folder / name}: " in str(caught.value)
    (folder / "train" / "a" / "3.png").write_bytes(whole)
    (folder / "train" / "b" / "phone.heic").unlink()
    (folder / "val" / "b" / "0.png").unlink()
    assert len(load_folder(settings(folder)).train) == 20


def layouts(root: Path) -> None:
    class_folders(root / "flat-val" / "train", {"a": 2, "b": 2})
    (root / "flat-val" / "val").mkdir()
    shutil.copy(root / "flat-val" / "train" / "a" / "0.png", root / "flat-val" / "val" / "0.png")
    class_folders(root / "no-train" / "val", {"a": 2, "b": 2})
    class_folders(root / "no-share", {"a": 2, "b": 2})
    class_folders(root / "one" / "train", {"a": 2})
    class_folders(root / "one" / "val", {"a": 2})
    for name, classes in (("differ", {"a": 2, "c": 1, "d": 1}), ("both", {"a": 2, "b": 1})):
        class_folders(root / name / "train", {"a": 2, "b": 2})
        class_folders(root / name / "val", classes)
    shutil.copytree(root / "both" / "val", root / "both" / "test")
    class_folders(root / "empty" / "train", {"a": 2, "b": 0, "c": 0})
    class_folders(root / "empty" / "val", {"a": 2, "b": 2, "c": 2})
    (root / "empty" / "train" / "b" / "list.csv").write_text("")


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("nowhere", {}, "there is no folder .*nowhere; expected FOLDER/train/<class>/ and FOLDER/val/<class>/"),
        ("flat-val", {}, r"flat-val/val holds 1 files and no class folders; expected .*flat-val/val/<class>/"),
        ("no-train", {}, r"no-train has val/ and no train/"),
        ("no-share", {}, r"no-share has no train/.* test: 0\.2"),
        ("one", {}, "one/train has one class, 'a'; there is nothing to tell apart"),
        ("differ", {}, "train and val differ in their classes: only train/ has b; only val/ has c, d"),
        ("both", {}, r"has val and test; name the test images' one, as test: val"),
        ("both", {"test": "tests"}, r"there is no folder .*both/tests; there are: test, train, val"),
        ("both", {"test": 0.5}, r"it has val/, and test: 0\.5 asks for a share; choose one"),
        ("empty", {}, r"no images in .*train/b, .*train/c \(there are files that are no images: b/list\.csv\)"),
        ("no-share", {"test": 0.1}, r"test: 0\.1: the test part takes 0\.1 .* not one image of class 'a' with its 2"),
    ],
)
def test_a_wrong_layout_is_one_clear_error(tmp_path: Path, name: str, more: dict[str, object], said: str) -> None:
    layouts(tmp_path)
    with pytest.raises(DataError, match=f"data set '{name}'.*{said}") as caught:
        load_folder(settings(tmp_path / name, **more))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ({"fodler": "x"}, "dataset: unknown key 'fodler'; did you mean 'folder'"),
        ({}, "dataset: 'folder' is missing"),
        ({"folder": "cifar10"}, "called 'cifar10', which is the name of another data set; give it a 'name'"),
        ({"folder": "x", "name": "a/b"}, "called 'a/b', which letters, digits"),
        ({"folder": "x", "test": 1.5}, "test is 1.5; it must be a share between 0 and 1"),
        ({"folder": "x", "channels": 2}, "dataset.channels: 2 is not possible"),
        ({"folder": "x", "white": 70000}, "white"),
        ({"folder": "$NOBODY_SET_THIS/x"}, r"the environment variable \$NOBODY_SET_THIS is not set"),
        ("cifar-10", "'cifar-10' is not possible; did you mean 'cifar10'"),
    ],
)
def test_settings_are_checked_when_the_experiment_is_read(tmp_path: Path, dataset: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_experiment(experiment(tmp_path, dataset))


def test_what_is_known_is_kept_and_only_what_changed_is_looked_at_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = survey._look
    monkeypatch.setattr(survey, "_look", lambda images, i: looked.append(images.names[i]) or real(images, i))
    first = load_folder(settings(folder)).info
    assert len(looked) == 28
    assert load_folder(settings(folder)).info == first
    assert len(looked) == 28
    png(folder / "train" / "b" / "new.png", np.zeros((16, 16, 3), "uint8"))
    assert load_folder(settings(folder)).info.mean != first.mean
    assert looked[28:] == ["b/new.png"]


def test_a_folder_that_cannot_be_written_is_known_beside_the_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / kept.FOLDER).write_text("in the way: nothing can be kept here")
    first = load_folder(settings(folder), runs_dir=tmp_path / "runs").info
    monkeypatch.setattr(survey, "_look", lambda *_: pytest.fail("looked again"))
    assert load_folder(settings(folder), runs_dir=tmp_path / "runs").info == first
    assert list((tmp_path / "runs" / "data").glob("shapes-*/survey-*.json"))


def test_a_kept_list_notices_what_was_added_and_removed(folder: Path) -> None:
    for place in (folder / "train").iterdir():
        os.utime(place, (1, 1))  # so long ago that its list is kept
    assert len(load_folder(settings(folder)).train) == 20
    kept_list = json.loads((folder / kept.FOLDER / "listing-train.json").read_text())
    assert set(kept_list["folders"]) == {"a", "b"}
    (folder / "train" / "a" / "0.png").unlink()
    assert len(load_folder(settings(folder)).train) == 19
    (folder / kept.FOLDER / "listing-train.json").write_text("damaged")
    assert len(load_folder(settings(folder)).train) == 19


def test_the_doctor_says_what_a_folder_holds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.device.data_checks.decode_rate", lambda images, size: 123.4)
    (folder / "train" / "notes.txt").write_text("")
    tiff(folder / "train" / "b" / "dark.tif", np.full((16, 16, 1), 4000, "uint16"), 1)
    assert main(["doctor", str(folder), "--runs-dir", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    for part in (
        "2 classes, 21 training images (9 ('b') to 12 a class) and 8 test images",
        "1 files are no images, or lie in no class, and are left out: 1 .txt (e.g. train/notes.txt)",
        "all can be read; 16x16 to 16x16 pixels; 28 RGB, 1 I;16",
        "no 16-bit pixel is brighter than 4000 of 65535; if white is 4095, set white: 4095",
        "one core decodes 123 training crops of 16 pixels",
    ):
        assert part in said
    before = (folder / "val" / "a" / "1.png").stat()
    (folder / "val" / "a" / "1.png").write_bytes(b"0" * before.st_size)
    load_folder(settings(folder))  # overwritten in place by as many bytes: the list is the same
    assert main(["doctor", experiment(tmp_path, {"folder": "shapes"}), "--runs-dir", str(tmp_path / "runs")]) == 1
    assert "1 file cannot be read" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "nowhere"), "--runs-dir", str(tmp_path / "runs")]) == 2


def test_imagenet_files_that_a_profile_uses_are_looked_at_before_it_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(folder))
    for place in ("train/a/2.png", "val/b/1.png"):
        (folder / place).write_bytes(b"no image")
    path = Path(experiment(tmp_path, "imagenet"))
    content = yaml.safe_load(path.read_text())
    profile = content["profiles"]["tiny"]
    profile["data"], profile["recipe_changes"]["augmentation"] = {"image_size": 16}, "none"
    path.write_text(yaml.safe_dump(content))
    assert main(["run", str(path), "--runs-dir", str(tmp_path / "runs"), "--no-tracking", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "data set 'imagenet': 2 files cannot be read" in said
    assert "train/a/2.png" in said
    assert "val/b/1.png" in said


def test_the_number_of_decoders_decides_no_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_folder(settings(folder), image_size=24)
    augmentation = get_augmentation("resized-crop-flip", data.info)

    def epoch(count: str, start: int = 0) -> list[torch.Tensor]:
        monkeypatch.setenv("DASBENCH_DECODERS", count)
        batches = Batches(data.train.images, data.train.labels, 3, augmentation, 1)
        return [images for images, _ in batches.epoch(2, start)]

    one, four = epoch("1"), epoch("4")
    assert len(one) == 7
    assert all(map(torch.equal, one, four))
    assert all(map(torch.equal, one[4:], epoch("4", 4)))
    with pytest.raises(ConfigError, match=r"DASBENCH_DECODERS is 'many'; it must be a whole number of 1 to 1024"):
        epoch("many")
