"""Super-resolution from an experiment's file to its results, on a folder of small photographs, and killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.config import ConfigError
from bench.data.images import DataError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.check import check
from bench.run.images import images_of
from bench.run.one_run import DONE, execute
from tests.bench.test_photographs import write
from tests.bench.test_resume import kill, outcome

CONTENT: dict[str, Any] = {
    "description": "super-resolution in seconds",
    "task": "super_resolution",
    "rows": {
        "dlsr": {"method": "dlsr"},
        "DLSR": {"published": "DLSR"},
        "random": {"method": "random_sampling", "match": {"row": "dlsr", "on": "params", "tolerance": 0.2}},
    },
    "profiles": {
        "tiny": {
            "search_seeds": [0],
            "data": {"patches": 6},
            "network": {"scales": {"dlsr": {"channels": 4, "residual": 1}}},
            "recipe": "superres-dlsr",
            "recipe_changes": {"epochs": 2, "batch_size": 4, "augmentation": "patch-32-flip-rotate"},
            "options": {
                "dlsr": {
                    "epochs": 2, "batch_size": 4, "channels": 4, "patch": 32, "arch_start_epoch": 1,
                    "valid_fraction": 0.34, "residual": True,
                },
                "random_sampling": {"space": "dlsr"},
            },
        }
    },
}  # fmt: skip


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "photos" / "train", "a.png", "b.png", "c.png")
    write(tmp_path / "photos" / "valid", "d.png", first=7)
    return {**CONTENT, "dataset": {"folder": str(tmp_path / "photos"), "name": "photos"}}


def planned(content: dict[str, Any], tmp_path: Path) -> list[RunInfo]:
    path = tmp_path / "superres.yaml"
    path.write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(path)), "tiny")


def made(info: RunInfo, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return directory


def test_an_experiment_of_super_resolution_is_done(content: dict[str, Any], tmp_path: Path) -> None:
    runs = planned(content, tmp_path)
    data = images_of(runs, tmp_path)
    assert data is not None
    check(runs, data)
    results = {}
    for info in runs:
        directory = made(info, tmp_path / "runs" / "superres-tiny")
        assert execute(directory.path, "cpu") == DONE
        results[info.phase, info.label] = directory.read_result() or {}
    metrics = results["train", "DLSR"]["metrics"]
    assert {"test_psnr", "test_ssim", "baseline_psnr", "baseline_ssim", "best_test_psnr"} <= set(metrics)
    assert abs(metrics["test_psnr"] - metrics["baseline_psnr"]) < 3  # it began as bicubic interpolation
    costs = results["train", "dlsr"]["costs"]
    assert costs["images"] == 2 * 3 * 6
    assert results["search", "dlsr"]["costs"]["images"] == 2 * 12 + (4 + 2 + 4)  # three steps in the second epoch
    assert costs["resolution"] == 640
    near = results["train", "random"]["costs"]["params"] / costs["params"]
    assert 0.8 <= near <= 1.0


@pytest.mark.long
def test_sigkill_in_a_search_and_in_a_training_of_super_resolution(content: dict[str, Any], tmp_path: Path) -> None:
    """In the middle of an epoch, in which the architecture is trained, too."""
    search, training = (info for info in planned(content, tmp_path) if info.label == "dlsr")
    for info, places in ((search, [(0, 2), (1, 1)]), (training, [(1, 3)])):
        alone, cut = (made(info, tmp_path / folder) for folder in ("whole", "cut"))
        assert execute(alone.path, "cpu") == DONE
        for epoch, step in places:
            kill(cut, f"epoch-{epoch:05d}-step-{step:07d}.pt")
        assert execute(cut.path, "cpu") == DONE
        assert outcome(cut) == outcome(alone)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"patch": 48},
            DataError,
            r"row 'dlsr': 3 of 3 photographs are smaller .* 48x48 .*a.png \(52x40\)",
        ),
        ({"recipe": "patch-48-flip-rotate"}, DataError, "3 of 3 photographs are smaller than a patch of 48x48"),
        ({"recipe": "crop-flip"}, DataError, "'crop-flip' is for classes; photographs take patches"),
        ({"scale": 4}, ConfigError, "images of 8x8 pixels do not go through this network"),
        ({"valid_fraction": 0.01}, DataError, "leaves a part empty"),
        ({"batch_size": 100}, DataError, "a batch of 100 is larger than the 12 images the search trains with"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    change: dict[str, Any], error: type[Exception], message: str, content: dict[str, Any], tmp_path: Path
) -> None:
    profile = yaml.safe_load(yaml.safe_dump(content["profiles"]["tiny"]))
    profile["options"]["dlsr"] |= {key: value for key, value in change.items() if key not in ("recipe", "scale")}
    if "recipe" in change:
        profile["recipe_changes"]["augmentation"] = change["recipe"]
    task = {"super_resolution": {"scale": change.get("scale", 2)}}
    runs = planned({**content, "task": task, "profiles": {"tiny": profile}}, tmp_path)
    data = images_of(runs, tmp_path)
    assert data is not None
    with pytest.raises(error, match=message):
        check(runs, data)


def test_the_shipped_experiment_is_of_one_recipe_and_one_size() -> None:
    for profile in ("quick", "short", "paper"):
        runs = plan(load_experiment("superres"), profile)
        assert len({str(info.config["recipe"]) for info in runs if info.phase == "train"}) == 1
        searches = {info.label: info.config for info in runs if info.phase == "search"}
        assert searches["dlsr"]["options"]["parameter_weight"] == 0
        assert searches["dlsr-parameters"]["options"]["parameter_weight"] == 1
        assert not searches["dlsr-parameters"]["options"]["as_released"]
        assert all(info.config["task"] == {"name": "super_resolution", "scale": 2} for info in runs)
