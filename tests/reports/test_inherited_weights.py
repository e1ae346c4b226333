"""Networks on one set of weights in the report: lines of their own, in no ranking with retrained rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from reports.build import build
from reports.inherited.rows import InheritedRow, inherited_rows
from reports.inherited.tables import inherited_columns, inherited_tables
from tests.bench.conftest import TINY

ROWS = {
    "us_net": {"method": "us_net", "weights": "inherited"},
    "us_net-half": {"method": "us_net", "select": {"on": "macs", "share": 0.5}},
}
SIZES = {"wide": (4e6, 90.0), "middle": (2e6, 85.0), "narrow": (1e6, 70.0)}
"""MACs, and accuracy on the validation part."""


def line(name: str, more: float, part: str) -> dict[str, Any]:
    macs, accuracy = SIZES[name]
    counts = {"architecture": name, "macs": macs, "params": macs / 20}
    if part == "valid":
        chosen = {"stages.0.width": len(name), "stages.0.0.inside": 12, "resolution": 32}
        return {**counts, "chosen": chosen, "valid_accuracy": accuracy + more, "valid_loss": 1.0}
    return {**counts, "test_accuracy": accuracy - 2 + more, "test_error": 102 - accuracy - more, "latency_ms": 1.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two searches whose sets are evaluated, but for one network, and one of each retrained."""
    content = yaml.safe_load(TINY.read_text())
    content["rows"], content["profiles"]["tiny"]["options"] = ROWS, {"us_net": {"space": "chain_xs_widths"}}
    path = tmp_path / "widths.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    for info in plan(load_experiment(str(path)), "tiny"):
        run = RunDirectory(tmp_path / "widths-tiny" / info.name)
        info.status = "done"
        run.create(info)
        more = float(info.search_seed or 0)
        result: dict[str, Any] = {
            "phase": info.phase,
            "architecture": "wide",
            "costs": {"device_s": 3600.0},
            "metrics": {},
        }
        if info.phase == "search":
            result["query_table"] = [line(name, more, "valid") for name in reversed(SIZES)]
        elif info.phase == "inherit":
            result["members"] = [line(name, more, "test") for name in ("wide", "middle")]
            result["metrics"] = {"test_error": 12.0 - more, "test_accuracy": 88.0 + more}
        else:
            result["metrics"] = {"test_error": 5.0, "test_accuracy": 95.0}
        run.write_result(result)
    return tmp_path / "widths-tiny"


def rows(folder: Path) -> list[InheritedRow]:
    from reports.build import gather

    found, problems = inherited_rows(gather([folder])[0])
    assert problems == []
    return found


def test_a_network_is_one_line_over_the_searches(folder: Path) -> None:
    found = {row.architecture: row for row in rows(folder)}
    assert set(found) == set(SIZES)
    assert {row.label for row in found.values()} == {"us_net"}, "the row that is retrained shares the search"
    wide = found["wide"]
    assert (wide.valid, wide.test, wide.latency) == ({0: 90.0, 1: 91.0}, {0: 88.0, 1: 89.0}, {0: 1.5, 1: 1.5})
    assert wide.network == "width 4, inside 12, resolution 32"
    assert found["narrow"].test == {}
    assert found["narrow"].tabled == {0, 1}
    assert (len(wide.runs), len(wide.searches)) == (2, 2)


def test_the_table_has_no_rank_and_no_verdict(folder: Path) -> None:
    (table,) = inherited_tables(rows(folder))
    assert [row.architecture for row in table.rows] == ["wide", "middle", "narrow"]
    columns = {column.key: column for column in inherited_columns(table)}
    assert not {"rank", "verdict", "letters"} & set(columns)
    assert columns["test"].text(table.rows[0]) == f"88.50 ± {np.std([88, 89], ddof=1):.2f}"
    assert columns["test"].text(table.rows[2]) == ""
    assert columns["test"].raw(table.rows[2]) is None
    assert any("no ranking" in note for note in table.notes)
    assert any(note.endswith("not evaluated on the test images: 1") for note in table.notes)


def test_every_format_keeps_them_from_retrained_rows(folder: Path, tmp_path: Path) -> None:
    result = build([folder], tmp_path / "out", ["csv", "md", "tex", "svg", "html"])
    assert result.problems == []
    names = sorted(path.name for path in result.files if path.parent.name == "tables")
    assert len([name for name in names if name.startswith("inherited-digits-tiny")]) == 3
    retrained = next(
        p for p in result.files if p.suffix == ".csv" and p.name.startswith("digits") and "ratios" not in p.name
    )
    assert {each["method"] for each in csv.DictReader(io.StringIO(retrained.read_text()))} == {"us_net-half"}
    (own,) = [path for path in result.files if path.name.startswith("inherited") and path.suffix == ".csv"]
    lines = list(csv.DictReader(io.StringIO(own.read_text())))
    assert [(each["method"], float(each["macs"])) for each in lines] == [
        ("us_net", 4e6),
        ("us_net", 2e6),
        ("us_net", 1e6),
    ]
    assert [each["test"] for each in lines] == ["88.5", "83.5", ""]
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'id="inherited-0"' in page
    assert "Inherited weights: accuracy against MACs" in page
    assert "Inherited weights, nothing retrained" in result.table


def test_inherited_weights_alone_are_a_report(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("train-*"):
        (path / "result.json").unlink()
    assert "88.50" in build([folder], tmp_path / "out", ["csv"]).table


def test_an_evaluation_that_is_not_finished_is_told(folder: Path) -> None:
    path = next(folder.glob("inherit-*s1-*"))
    (path / "result.json").unlink()
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "status": "failed"}))
    (table,) = inherited_tables(rows(folder))
    assert table.rows[0].test == {0: 88.0}
    assert "us_net: evaluations that are not finished: 1" in table.notes


@pytest.mark.parametrize(
    "damage",
    [
        lambda result: result.pop("members"),
        lambda result: result["members"][0].update(test_accuracy=120.0),
        lambda result: result["members"][0].pop("macs"),
        lambda result: result.update(members=[3]),
    ],
    ids=["none", "accuracy", "no cost", "no line"],
)
def test_what_is_not_as_expected_is_told_and_left_out(
    damage: Callable[[Any], Any], folder: Path, tmp_path: Path
) -> None:
    path = next(folder.glob("inherit-*s0-*")) / "result.json"
    result = json.loads(path.read_text())
    damage(result)
    path.write_text(json.dumps(result))
    found = build([folder], tmp_path / "out", ["csv"])
    assert len(found.problems) == 1
    assert path.parent.name in found.problems[0]
    assert "89.00" in found.table
