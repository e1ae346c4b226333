"""EG-NAS through the harness: blocks, a front of networks of them, members of it retrained; killed and continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo, read_record
from bench.records.inputs import found_architecture, found_family
from bench.run.one_run import DONE, execute
from methods.sampling.fronts import Objectives, front
from methods.spaces import NetworkSettings, get_space
from tests.bench.conftest import TINY
from tests.bench.test_resume import kill, outcome

ROWS: dict[str, Any] = {
    "blocks": {"method": "eg_nas_blocks", "line": False},
    "evolved": {"method": "nsga2", "of": "blocks"},
    "smallest": {"method": "nsga2", "of": "blocks", "select": {"on": "params", "smallest": True}},
    "drawn": {"method": "random_sampling", "of": "blocks", "match": {"row": "evolved", "on": "params"}},
}
OPTIONS: dict[str, Any] = {
    "eg_nas_blocks": {
        "epochs": 1, "channels": 2, "cells": 3, "batch_size": 8, "lambdas": [0.0, 5.0], "arch_lr": 0.1
    },
    "nsga2": {"space": "block_network_xs", "samples": 8, "population": 4},
    "drawn": {"space": "block_network_xs"},
}  # fmt: skip


def planned(folder: Path, rows: dict[str, Any] | None = None) -> list[RunInfo]:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = rows or ROWS
    content["profiles"]["tiny"] |= {
        "options": {} if rows else OPTIONS, "evaluation": {"proxy": {"epochs": 1}}, "search_seeds": [0],
        "recipe_changes": {"epochs": 1, "batch_size": 16, "augmentation": "crop"},
    }  # fmt: skip
    (folder / "eg.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return plan(load_experiment(str(folder / "eg.yaml")), "tiny")


def test_rows_of_one_front_share_its_search_and_blocks_alone_are_not_retrained(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    names = [info.name.rpartition("-")[0] for info in runs]
    assert names == [
        "search-blocks-s0", "search-evolved-s0", "train-evolved-s0-r0", "train-smallest-s0-r0", "search-drawn-s0",
        "train-drawn-s0-r0",
    ]  # fmt: skip
    assert runs[1].rows == ["evolved", "smallest"]
    assert runs[4].needs == [runs[0].signature, runs[1].signature]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"alone": {"method": "darts", "line": False}}, "no row with one starts from it; leave 'line' out"),
        ({"of": {"method": "nsga2", "of": "VGG"}, "VGG": {"published": "VGG16"}}, "no part of darts_cell"),
    ],
)
def test_rows_that_cannot_be_are_refused(rows: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        planned(tmp_path, rows)


@pytest.mark.slow
def test_sigkill_in_a_sweep_and_in_the_middle_of_a_generation(tmp_path: Path) -> None:
    """Blocks: in the second sweep. Evolution: as an individual is trained, and in the next generation."""
    runs = planned(tmp_path)
    whole, cut = ([RunDirectory(tmp_path / each / info.name) for info in runs] for each in ("whole", "cut"))
    for directory, info in zip([*whole, *cut], runs * 2, strict=True):
        directory.create(info)
    assert [execute(each.path, "cpu") for each in whole] == [DONE] * len(whole)
    kill(cut[0], "epoch-00001-step-0000002.pt")
    assert execute(cut[0].path, "cpu") == DONE
    kill(cut[1], "proxies/001/checkpoints/epoch-00000-step-0000001.pt", ".")
    kill(cut[1], "epoch-00005-step-0000000.pt")
    assert [execute(each.path, "cpu") for each in cut[1:]] == [DONE] * 5
    for one, other in zip(cut, whole, strict=True):
        assert outcome(one) == outcome(other)
        results = [directory.read_result() or {} for directory in (one, other)]
        for told in ("family", "objectives"):
            assert results[0].get(told) == results[1].get(told)
    check_front(whole)


def check_front(runs: list[RunDirectory]) -> None:
    """What the records of a whole run say of each other."""
    blocks, search, evolved, smallest, drawn, _ = (read_record(each.path) for each in runs)
    assert search.result is not None
    objectives = Objectives.from_json(search.result["objectives"])
    members = found_family(search)
    assert [each.architecture for each in front(objectives.individuals)] == [member.digest for member in members]
    assert [each.generation for each in objectives.individuals] == [0] * 4 + [1] * 4
    cells = [block.genotype["normal"] for block in found_family(blocks)]
    assert len(cells) == 2
    assert all(stage["normal"] in cells for member in members for stage in member.genotype["stages"])
    assert found_architecture(search) == found_architecture(evolved) == members[-1]
    assert found_architecture(smallest) == members[0]
    settings = NetworkSettings(**search.info.config["network"], in_channels=1)
    for each in objectives.individuals:
        member = next((m for m in members if m.digest == each.architecture), None)
        if member is not None:
            assert get_space(member.space).counts(member, 10, settings, 8).params == each.count
    for record in (evolved, smallest):
        count = next(e.count for e in objectives.individuals if e.architecture == (record.result or {})["architecture"])
        assert (record.result or {})["costs"]["params"] == count
    size = found_architecture(drawn).provenance["sizes"]["params"]
    wanted = (evolved.result or {})["costs"]["params"]
    assert 0.99 * wanted <= size <= wanted
