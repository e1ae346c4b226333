"""Runs on an image folder, from the plan to the result; what moved, what changed, and what is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.cli import main
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, read_records
from bench.run.one_run import DONE, FAILED, execute
from tests.bench.image_folders import class_folders, experiment
from tests.bench.image_writers import png
from tests.bench.test_resume import outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    class_folders(tmp_path / "shapes" / "train", {"a": 12, "b": 8})
    class_folders(tmp_path / "shapes" / "val", {"a": 4, "b": 4})
    return tmp_path / "shapes"


def test_moved_images_are_the_same_data_and_others_are_not(folder: Path, tmp_path: Path) -> None:
    def signatures(dataset: dict[str, object]) -> list[str]:
        return [info.signature for info in plan(load_experiment(experiment(tmp_path, dataset)), "tiny")]

    here = signatures({"folder": "shapes"})
    shutil.copytree(folder, tmp_path / "far" / "away")
    assert signatures({"folder": "far/away", "name": "shapes"}) == here
    assert signatures({"folder": str(folder)}) == here
    assert not set(signatures({"folder": "shapes", "flip": False})) & set(here)
    (info, *_) = plan(load_experiment(experiment(tmp_path, {"folder": "shapes"})), "tiny")
    assert info.folder == str(folder)
    assert str(tmp_path) not in json.dumps(info.config)
    png(folder / "train" / "a" / "one more.png", np.zeros((16, 16, 3), "uint8"))
    assert not set(signatures({"folder": "shapes"})) & set(here)


def test_an_experiment_on_a_folder_from_plan_to_result(folder: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    path = experiment(tmp_path, {"folder": "shapes"})
    arguments = ["run", path, "--runs-dir", str(runs), "--methods", "DARTS_V2", "--no-tracking", "--jobs", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    (info,) = plan(load_experiment(path), "tiny", ["DARTS_V2"])
    directory = RunDirectory(runs / "mine-tiny" / info.name)
    directory.create(replace(info, folder=str(tmp_path / "before it was moved")))
    assert execute(directory.path, "cpu") == FAILED
    assert "there is no folder" in str(directory.read_info().error)
    directory.write_info(replace(info, folder=str(folder)))
    assert execute(directory.path, "cpu") == DONE
    (record,), problems = read_records(runs / "mine-tiny")
    assert problems == []
    assert record.info.dataset == "shapes"
    assert record.info.environment["data"]["test"]["images"] == 8


@pytest.mark.parametrize("method", ["l1_filter_pruning", "network_slimming", "magnitude_pruning"])
def test_a_network_with_the_stem_of_imagenet_is_pruned(method: str, folder: Path, tmp_path: Path) -> None:
    """Its own stem counts, whatever images the transform's configuration speaks of."""
    content = yaml.safe_load(Path(experiment(tmp_path, {"folder": "shapes"})).read_text())
    options = {"ratio": 0.3, "of": "weights" if method == "magnitude_pruning" else "params"}
    content["rows"] = {
        "dense": {"published": "DARTS_V2"},
        "pruned": {"method": method, "of": "dense", "options": options},
    }
    content["profiles"]["tiny"] |= {
        "data": {"image_size": 32},
        "network": {"channels": 4, "cells": 3, "stem": "imagenet"},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    for info in plan(load_experiment(str(tmp_path / "mine.yaml")), "tiny", ["pruned"]):
        directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
        directory.create(info)
        assert execute(directory.path, "cpu") == DONE, directory.read_info().error


def test_a_folder_is_looked_at_each_time_it_is_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its images decide which runs there are: that all was done once says nothing."""
    monkeypatch.chdir(tmp_path)
    path = experiment(tmp_path, {"folder": "shapes"})
    arguments = ["run", path, "--runs-dir", str(tmp_path / "runs"), "--methods", "DARTS_V2", "--no-tracking"]
    (info,) = plan(load_experiment(path), "tiny", ["DARTS_V2"])
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    assert main(arguments) == 0
    (folder / "val" / "b" / "3.png").rename(folder / "val" / "b" / "4.png")
    capsys.readouterr()
    monkeypatch.setattr("bench.run.local.work", lambda *_: None)  # what is to do stays undone
    assert main(arguments) == 1
    assert "nothing has changed" not in capsys.readouterr().out


def test_a_record_learns_where_the_images_are_now(folder: Path, tmp_path: Path) -> None:
    from bench.records.moved import note_where_images_are

    path = experiment(tmp_path, {"folder": "shapes"})
    planned = plan(load_experiment(path), "tiny", ["DARTS_V2"])
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / planned[0].name)
    directory.create(replace(planned[0], folder="/was/here"))
    note_where_images_are(directory.path.parent, planned)
    assert directory.read_info().folder == str(folder)


def test_images_that_changed_since_the_plan_are_refused(folder: Path, tmp_path: Path) -> None:
    (info, *_) = plan(load_experiment(experiment(tmp_path, {"folder": "shapes"})), "tiny", ["DARTS_V2"])
    RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name).create(info)
    (folder / "val" / "b" / "3.png").rename(folder / "val" / "b" / "4.png")
    assert execute(tmp_path / "runs" / "mine-tiny" / info.name, "cpu") == FAILED
    error = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name).read_info().error
    assert "the test images in" in str(error)
    assert "are not those the run was planned with" in str(error)


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ({"batch_size": 21}, {}, "a batch of 21 is larger than the 20 images there are to train with"),
        ({}, {"batch_size": 11}, "a batch of 11 is larger than the 10 images the search trains with"),
    ],
)
def test_a_batch_larger_than_the_data(
    folder: Path, tmp_path: Path, recipe: dict[str, int], options: dict[str, int], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = Path(experiment(tmp_path, {"folder": "shapes"}, **recipe))
    content = yaml.safe_load(path.read_text())
    content["profiles"]["tiny"]["options"]["darts"] |= options
    path.write_text(yaml.safe_dump(content))
    assert main(["run", str(path), "--runs-dir", str(tmp_path / "runs"), "--no-tracking", "--dry-run"]) == 2
    assert said in capsys.readouterr().err


def kill_soon(directory: RunDirectory) -> None:
    """SIGKILL a run, in a process of its own, once it has checkpoints within an epoch."""
    environment = {**os.environ, "DASBENCH_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.run", str(directory.path), "--device", "cpu"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not any(int(path.stem[-7:]) for path in directory.checkpoints.glob("epoch-*.pt")):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert directory.read_result() is None


@pytest.mark.long
def test_sigkill_in_mid_epoch_with_two_decoders(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASBENCH_DECODERS", "2")
    content = yaml.safe_load(Path(experiment(tmp_path, {"folder": "shapes"})).read_text())
    content["profiles"]["tiny"] |= {
        "data": {"image_size": 24},
        "search_data": {"darts": {"augmentation": "resized-crop-flip", "train": 0.5, "valid": 0.5}},
    }
    content["profiles"]["tiny"]["options"]["darts"] |= {"epochs": 2, "batch_size": 2}
    content["profiles"]["tiny"]["recipe_changes"] |= {"epochs": 2, "batch_size": 4}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    search, training = plan(load_experiment(str(tmp_path / "mine.yaml")), "tiny", ["darts"], [0])
    done = {}
    for name in ("whole", "killed"):
        for info in (search, training):
            directory = RunDirectory(tmp_path / name / "mine-tiny" / info.name)
            directory.create(info)
            if name == "killed":
                kill_soon(directory)
            assert execute(directory.path, "cpu") == DONE
            done[name, info.phase] = outcome(directory)
    assert done["killed", "search"] == done["whole", "search"]
    assert done["killed", "train"] == done["whole", "train"]
