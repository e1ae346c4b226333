"""How a search divides and serves its images: exact shares of every class, the file's order, fresh batches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.config import ConfigError, parse
from bench.data.augment import get_augmentation
from bench.data.batches import Batches
from bench.data.datasets import DataError, DatasetInfo, ImageData, LabelledImages, load
from bench.data.search_protocol import AS_THE_METHOD, SearchProtocol
from bench.data.splits import divide, search_data
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.phases.check import check_searches
from methods.base import SearchSplit
from tests.bench.conftest import TINY
from tests.bench.test_resume import StopAfter, outcome

HALVES = SearchSplit(0.5, 0.5)


def images_of(sizes: list[int]) -> ImageData:
    """One image a label; its pixel values tell which it is."""
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    index = torch.arange(len(labels))
    pixels = torch.stack([index // 256, index % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    names = tuple(f"class {label}" for label in range(len(sizes)))
    info = DatasetInfo("fake", (0.5,), (0.5,), names, image_size=2, padding=0, cutout=0)
    return ImageData(info, LabelledImages(pixels, labels), lambda: LabelledImages(pixels, labels))


@given(
    st.lists(st.integers(20, 90), min_size=1, max_size=9),
    st.sampled_from([(0.1, 0.025), (0.5, 0.5), (0.9, 0.1), (0.3, 0.3), (0.55, 0.45)]),
    st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_every_class_gives_exactly_its_share(sizes: list[int], shares: tuple[float, float], seed: int) -> None:
    labels = images_of(sizes).train.labels
    protocol = SearchProtocol(*shares)
    train, valid = divide(labels, tuple("abcdefghi"[: len(sizes)]), HALVES, seed, protocol)
    assert not set(train.tolist()) & set(valid.tolist())
    for label, size in enumerate(sizes):
        first = int(size * shares[0] + 0.5)
        assert int((labels[train] == label).sum()) == first
        assert int((labels[valid] == label).sum()) == min(int(size * shares[1] + 0.5), size - first)


def test_ten_and_two_and_a_half_percent_of_classes_of_imagenet_s_sizes() -> None:
    """1,300 images in most classes, 732 in the smallest: 130 + 33 and 73 + 18."""
    data = images_of([1300, 732, 1055])
    parts = search_data(data, HALVES, 3, protocol=SearchProtocol(0.1, 0.025))
    assert parts.train.labels.bincount().tolist() == [130, 73, 106]
    assert parts.valid.labels.bincount().tolist() == [33, 18, 26]
    again = search_data(data, HALVES, 3, protocol=SearchProtocol(0.1, 0.025))
    other = search_data(data, HALVES, 4, protocol=SearchProtocol(0.1, 0.025))
    assert torch.equal(parts.train.images[:], again.train.images[:])  # type: ignore[arg-type]
    assert not torch.equal(parts.train.images[:], other.train.images[:])  # type: ignore[arg-type]


def test_of_balanced_classes_exact_shares_are_the_method_s_own_division() -> None:
    labels = images_of([40] * 5).train.labels
    own = divide(labels, tuple("abcde"), HALVES, 7, AS_THE_METHOD)
    exact = divide(labels, tuple("abcde"), HALVES, 7, SearchProtocol(0.5, 0.5))
    assert all(torch.equal(a, b) for a, b in zip(own, exact, strict=True))


def test_the_file_s_two_halves() -> None:
    labels = images_of([30, 10]).train.labels
    train, valid = divide(labels, ("a", "b"), HALVES, 5, SearchProtocol(division="file"))
    assert train.tolist() == list(range(20))
    assert valid.tolist() == list(range(20, 40))
    train, valid = divide(labels, ("a", "b"), HALVES, 5, SearchProtocol(0.25, 0.5, "file"))
    assert train.tolist() == list(range(10))
    assert valid.tolist() == list(range(20, 40))


def test_a_share_that_stands_alone_leaves_the_other_what_is_left() -> None:
    assert SearchProtocol(train=0.8).split(HALVES) == SearchSplit(0.8, pytest.approx(0.2))  # type: ignore[arg-type]
    assert SearchProtocol(train=0.1).split(HALVES) == SearchSplit(0.1, 0.5)
    assert SearchProtocol(valid=0.3).split(SearchSplit(0.9, 0.1, False)) == SearchSplit(0.7, 0.3, False)
    assert AS_THE_METHOD.split(HALVES) == HALVES


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": 0.0}, "train is 0.0; it must be"),
        ({"valid": 1.0}, "valid is 1.0; it must be"),
        ({"train": 0.8, "valid": 0.3}, "more than all images"),
        ({"augmentation": "crop-flp"}, "did you mean 'crop-flip'"),
        ({"division": "files"}, "did you mean 'file'"),
        ({"valid_batches": "new"}, "is not possible"),
        ({"tran": 0.5}, "did you mean 'train'"),
    ],
)
def test_mistakes_are_named_with_their_place(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="^here.*" + message):
        parse(SearchProtocol, fields, "here")


# --- fresh batches ----------------------------------------------------------------------------------------------------

INFO = DatasetInfo("c", (0.5,), (0.25,), ("a", "b"), image_size=8, padding=2, cutout=4)
PIXELS = torch.randint(256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def fresh(batch_size: int = 10, **options: object) -> Batches:
    chosen = get_augmentation("crop-flip", INFO)
    return Batches(PIXELS, torch.arange(40), batch_size, chosen, 1, fresh=True, **options)  # type: ignore[arg-type]


def test_every_fresh_batch_is_drawn_from_all_images() -> None:
    """Twelve batches of ten of forty images: passes would serve each three times."""
    labels = [batch[1] for batch in fresh().epoch(0, steps=12)]
    assert all(len(set(batch.tolist())) == 10 for batch in labels), "no image twice in one batch"
    served = torch.cat(labels).bincount(minlength=40)
    assert len(served.unique()) > 2
    many = torch.cat([batch[1] for batch in fresh().epoch(1, steps=800)]).bincount(minlength=40)
    assert bool(((many - 200).abs() < 5 * (800 * 0.25 * 0.75) ** 0.5).all()), "every image equally often"


def test_fresh_batches_can_be_jumped_to_and_shared() -> None:
    whole = list(fresh().epoch(2, steps=9))
    jumped = list(fresh().epoch(2, start_step=5, steps=9))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(whole[5:], jumped, strict=True))
    shares = [list(fresh(rank=rank, world_size=3).epoch(2, steps=9)) for rank in range(3)]
    for step, (images, labels) in enumerate(whole):
        assert torch.equal(labels, torch.cat([share[step][1] for share in shares]))
        assert torch.equal(images, torch.cat([share[step][0] for share in shares]))


def test_a_batch_as_large_as_the_images_is_all_of_them() -> None:
    (only,) = fresh(batch_size=64).epoch(0, steps=1)
    assert sorted(only[1].tolist()) == list(range(40))


# --- in an experiment -------------------------------------------------------------------------------------------------


def tiny(
    tmp_path: Path, row: str = "darts", method: str | None = None, channels: int = 2, **protocol: object
) -> list[RunInfo]:
    content = yaml.safe_load(TINY.read_text())
    content["profiles"]["tiny"]["options"]["darts"]["channels"] = channels
    if method is not None:
        content["rows"][row] = {"method": method}
    content["profiles"]["tiny"]["search_data"] = {row: protocol}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(path)), "tiny", [row], [0])


def test_a_protocol_is_part_of_the_search_s_signature_and_of_nothing_without_one(tmp_path: Path) -> None:
    as_before = plan(load_experiment(str(TINY)), "tiny", ["darts"], [0])
    assert [info.signature for info in tiny(tmp_path)] == [info.signature for info in as_before]
    changed = tiny(tmp_path, train=0.25, valid=0.25)
    assert changed[0].config["search_data"] == {"train": 0.25, "valid": 0.25}
    assert changed[0].signature != as_before[0].signature
    assert "search_data" not in changed[1].config


def test_the_row_s_protocol_goes_before_the_method_s(tmp_path: Path) -> None:
    content = yaml.safe_load(TINY.read_text())
    content["rows"]["own"] = {"method": "darts", "search_data": {"valid": 0.2}}
    content["profiles"]["tiny"]["search_data"] = {"darts": {"train": 0.3, "valid": 0.1}, "own": {"train": 0.4}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    searches = [info for info in plan(load_experiment(str(path)), "tiny", ["darts", "own"], [0]) if not info.needs]
    assert [info.config["search_data"] for info in searches] == [
        {"train": 0.3, "valid": 0.1},
        {"train": 0.4, "valid": 0.2},
    ]


@pytest.mark.parametrize(
    ("row", "method", "protocol", "message"),
    [
        ("random", None, {"augmentation": "crop"}, "trains its proposals with the recipe"),
        ("random", None, {"valid_batches": "fresh"}, "draws no validation batches"),
        ("mine", "mgas", {"valid_batches": "fresh"}, "draws no validation batches"),
        ("darts", None, {"valid": 0}, "needs a share valid above 0"),
        ("DARTS_V2", None, {"train": 0.5}, None),
    ],
)
def test_what_a_method_cannot_follow(
    tmp_path: Path, row: str, method: str | None, protocol: dict[str, object], message: str | None
) -> None:
    if message is None:
        assert "search_data" not in tiny(tmp_path, row, method, **protocol)[0].config
        return
    with pytest.raises(ConfigError, match=message):
        tiny(tmp_path, row, method, **protocol)


def test_a_class_that_cannot_give_its_share_is_named_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"row 'darts'.*not one image of class '\d' with its 9.*at least 20 images"):
        check_searches(tiny(tmp_path, train=0.1, valid=0.025), load("digits"))
    tiny(tmp_path, train=0.1, valid=0.025)
    where = ["--runs-dir", str(tmp_path / "runs"), "--profile", "tiny", "--no-tracking"]
    assert main(["run", str(tmp_path / "mine.yaml"), *where]) == 2
    message = capsys.readouterr().err
    assert "search-valid takes 0.025 of the images of every class" in message
    assert "Traceback" not in message
    assert not list((tmp_path / "runs").glob("*/search*"))


def test_a_crop_of_the_original_file_is_refused_for_images_in_memory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 'darts'.*is for image files"):
        check_searches(tiny(tmp_path, augmentation="resized-crop-flip"), load("digits"))


def test_a_search_with_fresh_batches_stopped_in_mid_epoch_ends_with_the_same_bits(tmp_path: Path) -> None:
    info = tiny(tmp_path, channels=4, train=0.5, valid=0.25, valid_batches="fresh")[0]
    whole, stopped = (RunDirectory(tmp_path / name / "mine-tiny" / info.name) for name in ("whole", "stopped"))
    for directory in (whole, stopped):
        directory.create(info)
    assert execute(stopped.path, "cpu", StopAfter(3)) == INTERRUPTED
    for directory in (whole, stopped):
        assert execute(directory.path, "cpu") == DONE
    assert outcome(whole) == outcome(stopped)
    train = search_data(load("digits"), HALVES, 0, 96, SearchProtocol(0.5, 0.25)).train
    steps = math.ceil(len(train) / 8)
    assert outcome(whole)["images"] == 2 * (len(train) + 8 * steps), "two epochs, a full batch beside every one"


def test_the_imagenet_profile_searches_as_pc_darts_released() -> None:
    """train_search_imagenet.py and its README: 10 % and 2.5 % of every class, random resized crop and flip."""
    info = next(info for info in plan(load_experiment("imagenet"), "paper", ["pc_darts"]) if info.phase == "search")
    assert info.config["search_data"] == {"train": 0.1, "valid": 0.025, "augmentation": "resized-crop-flip"}
    released = {
        "batch_size": 1024, "epochs": 50, "channels": 16, "cells": 8, "partial_channels": 2, "edge_normalisation": True,
        "arch_start_epoch": 35, "warmup_epochs": 5, "lr": 0.5, "lr_end": 0.0, "momentum": 0.9, "weight_decay": 3e-4,
        "clip": 5.0, "arch_lr": 6e-3, "arch_betas": (0.5, 0.999), "arch_weight_decay": 1e-3, "arch_clip": 5.0,
    }  # fmt: skip
    options = info.config["options"]
    assert {name: options[name] for name in released} == released
    assert info.config["stem"] == "imagenet"
