"""DNA through the harness: from a trained network up and down on digits, and killed where its space has just moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import DONE, execute
from methods.spaces import get_space
from methods.spaces.widths import Stage, Widths
from tests.bench.conftest import TINY
from tests.bench.test_resume import kill, outcome

SMALL = Widths((Stage(6, (12, 9)), Stage(8, (16, 12)), Stage(10, (20,)), Stage(12, (24,))))


def planned(folder: Path, epochs: int, images: int, **options: Any) -> dict[str, RunInfo]:
    """By the beginnings of their names, the runs of a small network and of what is made of it."""
    space: Any = get_space("chain_xs_widths")
    space.architecture(SMALL).save(folder / "small")
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {
        "small": {"architecture": "small"},
        "up": {"method": "dna", "of": "small", "options": {"ratio": 2.0}},
        "down": {"method": "dna", "of": "small", "options": {"ratio": 0.5}},
    }
    profile = content["profiles"]["tiny"]
    profile["data"] |= {"train_images": images}
    profile["search_seeds"] = [0]
    given = {"epochs": epochs, "batch_size": 16, "move_every": 1, "arch_start_epoch": 0, "arch_lr": 0.2}
    profile["options"] = {"dna": given | options}
    path = folder / "dna.yaml"
    path.write_text(yaml.safe_dump(content))
    return {info.name.rpartition("-")[0]: info for info in plan(load_experiment(str(path)), "tiny")}


def made(folder: Path, info: RunInfo) -> RunDirectory:
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return directory


@pytest.mark.slow
def test_sigkill_at_a_move_and_behind_it(tmp_path: Path) -> None:
    """The network that a checkpoint holds is larger than the one that the search began with."""
    runs = planned(tmp_path, epochs=3, images=96)
    source = made(tmp_path / "whole", runs["train-small-r0"])
    assert execute(source.path, "cpu") == DONE
    shutil.copytree(source.path, tmp_path / "cut" / source.path.name)
    alone, cut = (made(tmp_path / folder, runs["search-up-s0-r0"]) for folder in ("whole", "cut"))
    assert execute(alone.path, "cpu") == DONE
    first = next(iter(alone.read_metrics()))["values"]
    assert first["dna/moved"] > 0
    for at in ("epoch-00001-step-0000000.pt", "epoch-00001-step-0000002.pt"):
        kill(cut, at)
    assert execute(cut.path, "cpu") == DONE
    assert outcome(cut) == outcome(alone)


@pytest.mark.long
def test_on_digits_it_meets_its_budget_from_both_sides_and_its_weights_are_worth_something(tmp_path: Path) -> None:
    runs = planned(tmp_path, epochs=12, images=720)
    for name in ("train-small-r0", "search-up-s0-r0", "search-down-s0-r0", "train-up-finetune-s0-r0"):
        assert execute(made(tmp_path / "runs", runs[name]).path, "cpu") == DONE

    def result(name: str) -> dict[str, Any]:
        return RunDirectory(tmp_path / "runs" / runs[name].name).read_result() or {}

    small, tuned = result("train-small-r0"), result("train-up-finetune-s0-r0")
    for row, ratio in (("up", 2.0), ("down", 0.5)):
        told = result(f"search-{row}-s0-r0")["report"]
        assert abs(told["macs"] / (ratio * small["costs"]["macs"]) - 1) <= 0.02
    assert tuned["costs"]["macs"] == result("search-up-s0-r0")["report"]["macs"]
    assert tuned["metrics"]["test_accuracy"] > 50
