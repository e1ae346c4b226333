"""Rows that lean on other rows: a transform at another row's size, a member of a family, penalised dense training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import Record, RunDirectory
from bench.run.one_run import DONE, execute
from methods.architecture import Architecture
from methods.genotypes import published
from tests.bench.conftest import TINY


def run_all(
    tmp_path: Path, rows: dict[str, object], wanted: list[str], scales: dict[str, dict[str, int]] | None = None
) -> dict[str, Record]:
    """Do the runs of some rows, in order, and give the trainings by label and inheritance."""
    content = yaml.safe_load(TINY.read_text())
    content["rows"] |= rows
    content["profiles"]["tiny"]["network"] |= {"scales": scales or {}}
    content["profiles"]["tiny"]["recipe_changes"]["epochs"] = 1
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    records = {}
    for info in plan(load_experiment(str(path)), "tiny", wanted, [0]):
        directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
        directory.create(info)
        if execute(directory.path, "cpu") == DONE:
            records[f"{info.phase} {info.label} {info.inheritance}"] = Record(
                directory.path, directory.read_info(), directory.read_result()
            )
    return records


def costs(record: Record) -> dict[str, float]:
    assert record.result is not None
    return record.result["costs"]  # type: ignore[no-any-return]


def test_the_size_to_draw_at_is_that_of_the_network_that_is_trained(tmp_path: Path) -> None:
    """Whose scale the profile gives, where the architecture states none."""
    graph = {"method": "random_sampling", "options": {"space": "graph_5", "samples": 1}}
    rows: dict[str, object] = {"given": graph, "drawn": graph | {"match": {"row": "given", "on": "params"}}}
    done = run_all(tmp_path, rows, ["given", "drawn"], {"graph_5": {"channels": 4}})
    given, drawn = (costs(done[f"train {label} scratch"])["params"] for label in ("given", "drawn"))
    result = done["search drawn scratch"].result
    assert result is not None
    assert result["report"]["match"]["target"] == given
    assert 0.9 * given <= drawn <= given


@pytest.mark.slow
def test_a_transform_takes_the_size_of_another_row(tmp_path: Path) -> None:
    half = {"method": "l1_filter_pruning", "of": "DARTS_V2", "options": {"ratio": 0.4, "of": "params"}}
    match = {"row": "half", "on": "params_nonzero"}
    rows = {"half": half, "small": {"architecture": str(tmp_path / "small.json")}}
    done = run_all(tmp_path, {"half": half}, ["half"])
    smaller = done["train half scratch"]
    assert {"train half scratch", "train half finetune"} <= set(done)
    (tmp_path / "small.json").write_text((smaller.path / "architecture.json").read_text())
    rows["matched"] = {"method": "magnitude_pruning", "of": "DARTS_V2", "match": {**match, "row": "small"}}
    (tmp_path / "again").mkdir()
    again = run_all(tmp_path / "again", rows, ["matched"])
    matched, target = again["train matched scratch"], costs(again["train small scratch"])["params"]
    assert abs(costs(matched)["params_nonzero"] - target) <= 0.01 * costs(matched)["params"]
    assert costs(matched)["params"] > costs(matched)["params_nonzero"]
    assert costs(matched)["macs_sparse"] < costs(matched)["macs"]
    dense = costs(again["train DARTS_V2 scratch"])["device_s"] + costs(again["transform matched scratch"])["device_s"]
    assert costs(matched)["search_device_s"] == pytest.approx(dense), "what it stands on, not whose size it has"


def test_a_size_above_the_dense_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {
        "big": {"published": "PC_DARTS_cifar"},
        "matched": {"method": "magnitude_pruning", "of": "DARTS_V2", "match": {"row": "big", "on": "params_nonzero"}},
    }
    done = run_all(tmp_path, rows, ["matched"])
    assert "train matched scratch" not in done
    assert "dense" in capsys.readouterr().err


MGAS = {
    "method": "mgas",
    "options": {
        "channels": 4, "cells": 3, "batch_size": 16, "targets": [18000, 12000], "autoaugment": False, "stages": 1,
        "warmup_epochs": [0], "commit_interval": 1, "phase_epochs": [1, 1], "max_epochs": 2, "valid_fraction": 0.2,
    },
}  # fmt: skip


def test_random_sampling_at_the_size_of_a_search_of_the_same_seed(tmp_path: Path) -> None:
    small = MGAS | {"select": {"on": "params", "smallest": True}}
    drawn = {"method": "random_sampling", "options": {"space": "dense_cell"}, "match": {"row": "small", "on": "params"}}
    rows: dict[str, object] = {"small": small, "drawn": drawn}
    done = run_all(tmp_path, rows, ["drawn"])
    assert set(done) == {"search small scratch", "search drawn scratch", "train drawn scratch"}, "no training of small"
    matched, search, trained = (done[f"{name} scratch"] for name in ("search small", "search drawn", "train drawn"))
    assert search.info.needs == [matched.info.signature]
    assert search.info.config["match"]["run"] == matched.info.signature
    members = [Architecture.load(path) for path in (matched.path / "family").iterdir()]
    theirs = min((member for member in members), key=lambda member: member.provenance["sizes"]["params"])
    ours = Architecture.load(trained.path)
    told = ours.provenance["match"]
    assert told["target"] == theirs.provenance["sizes"]["params"]
    assert told["achieved"] == costs(trained)["params"] <= told["target"]
    assert told["achieved"] >= 0.99 * told["target"]
    assert costs(trained)["params"] - costs(trained)["params_nonzero"] == told["masked_weights"]
    assert ours.scale == theirs.scale
    assert search.result is not None
    assert search.result["report"]["match"] == told
    assert not costs(trained)["search_device_s"], (
        "drawing costs nothing, and the search whose size it has is not its own"
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"method": "regularized_evolution", "match": {"row": "darts"}}, "cannot keep to the size"),
        (
            {
                "method": "random_sampling",
                "options": {"space": "general_cell"},
                "match": {"row": "darts", "on": "params"},
            },
            "general_cell cannot be drawn at a size",
        ),
        ({"method": "random_sampling", "match": {"row": "darts"}}, "on params or macs, not on params_nonzero"),
        ({"method": "random_sampling", "match": {"row": "me", "on": "macs"}}, "is itself drawn at a size"),
        ({"method": "random_sampling", "match": {"row": "dart", "on": "macs"}}, "unknown row 'dart'"),
        ({"method": "random_sampling", "of": "darts"}, "no part of darts_cell: leave 'of' out"),
        (
            {"method": "random_sampling", "options": {"space": "stage_graph"}, "of": "resnet"},
            "an architecture of resnet has not one of each",
        ),
        ({"method": "hc_das", "of": "darts"}, "'of' belongs to transforms"),
        (
            {"method": "random_sampling", "options": {"space": "dense_cell"}, "match": {"row": "resnet", "on": "macs"}},
            "row 'resnet' is of resnet, whose networks are not given by channels and cells",
        ),
    ],
)
def test_what_cannot_be_drawn_at_a_size_is_refused_before_anything_runs(
    tmp_path: Path, row: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run_all(tmp_path, {"me": row, "resnet": {"published": "ResNet56"}}, ["me"])


def test_select_needs_a_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"one": {"method": "random_sampling", "select": {"on": "params"}}}
    done = run_all(tmp_path, rows, ["one"])
    assert set(done) == {"search one scratch"}
    assert "no family to select from" in capsys.readouterr().err


def test_a_given_architecture_is_trained_from_the_run_s_own_copy(tmp_path: Path) -> None:
    """Files move between the plan and the run; masks are part of the copy."""
    cell = published("DARTS_V1")
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"mine": {"architecture": "cell"}}
    content["profiles"]["tiny"]["recipe_changes"] |= {"epochs": 1, "augmentation": "none"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    mask = torch.ones(4, 12, 1, 1, dtype=torch.bool)
    mask[:, :7] = False
    replace(cell, masks={"cells.0.preprocess1.1.weight": mask}).save(tmp_path / "cell")
    (info,) = plan(load_experiment(str(tmp_path / "mine.yaml")), "tiny")
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    shutil.rmtree(tmp_path / "cell")
    (tmp_path / "runs").rename(tmp_path / "moved")
    directory = RunDirectory(tmp_path / "moved" / "mine-tiny" / info.name)
    assert execute(directory.path, "cpu") == DONE
    found = Record(directory.path, directory.read_info(), directory.read_result())
    assert found.result is not None
    assert found.result["architecture"] == info.config["architecture"]["digest"]
    assert costs(found)["params"] - costs(found)["params_nonzero"] == 7 * 4
    published("DARTS_V2").save(directory.given)
    (directory.path / "result.json").unlink()
    assert execute(directory.path, "cpu") != DONE
    assert "has changed since this run was planned" in str(directory.read_info().error)
