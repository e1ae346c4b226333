"""Run directories: round trips, lines cut short, corrupt records among good ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.records.directory import RecordError, RunDirectory, RunInfo, read_records


def info(label: str = "darts", **more: object) -> RunInfo:
    fields = {
        "experiment": "e", "profile": "quick", "label": label, "method": "darts", "phase": "train",
        "dataset": "digits", "search_seed": 0, "retrain_seed": 1, "signature": f"{label}0123456789", "config": {"a": 1},
    }  # fmt: skip
    return RunInfo(**{**fields, **more})  # type: ignore[arg-type]


def result(phase: str = "train", **metrics: float) -> dict[str, Any]:
    """A result that a run of the phase can have."""
    values = {"test_error": 3.0, "test_accuracy": 97.0, **metrics} if phase == "train" else metrics
    return {"phase": phase, "metrics": values, "costs": {"images": 10}, "epochs": 0, "architecture": "0" * 16}


def test_names() -> None:
    assert info().name == "train-darts-s0-r1-darts01234"
    assert info(inheritance="finetune").name == "train-darts-finetune-s0-r1-darts01234"
    assert info(phase="search", retrain_seed=None).name == "search-darts-s0-darts01234"
    assert info(search_seed=None).name == "train-darts-r1-darts01234"


@pytest.mark.parametrize("name", ["", "e" * 501, "e\n"])
@pytest.mark.parametrize("what", ["experiment", "profile"])
def test_a_record_of_an_experiment_that_cannot_be_is_named(what: str, name: str, tmp_path: Path) -> None:
    """No version let them be names, so that somebody edited the record; MLflow's experiments are called by them."""
    for each in (info("good"), info("edited", **{what: name})):
        RunDirectory(tmp_path / each.name).create(each)
    records, problems = read_records(tmp_path)
    assert [record.info.label for record in records] == ["good"]
    (problem,) = problems
    assert f"run.json: {what} is '" in problem


def test_round_trip(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / info().name)
    directory.create(info())
    assert directory.read_info().config == {"a": 1}
    assert directory.read_result() is None
    directory.append_metrics(0, 3, {"train/loss": 1.5, "ratios": [0.1, 0.2]}, 1.0, 2.0)
    directory.append_metrics(1, 3, {"train/loss": 1.0}, 2.0, 4.0)
    with open(directory.path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "val')  # killed while writing
    assert [line["values"]["train/loss"] for line in directory.read_metrics()] == [1.5, 1.0]
    directory.truncate_metrics(1)
    assert [line["epoch"] for line in directory.read_metrics()] == [0]
    directory.write_result(result())
    found = directory.read_result()
    assert found is not None
    assert found["metrics"] == {"test_error": 3.0, "test_accuracy": 97.0}
    assert not [path for path in directory.path.iterdir() if path.name.startswith(".")]


def test_a_corrupt_record_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    for label in ("good", "bad", "worse"):
        RunDirectory(tmp_path / label).create(info(label))
    (tmp_path / "bad" / "run.json").write_text("{not json")
    (tmp_path / "worse" / "result.json").write_text("[]")
    records, problems = read_records(tmp_path)
    assert [record.info.label for record in records] == ["good"]
    assert len(problems) == 2
    assert "bad/run.json is damaged" in problems[0]
    assert "worse/result.json is damaged" in problems[1]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="set RUNS_DIR"):
        RunDirectory(tmp_path / "file" / "run").create(info())
