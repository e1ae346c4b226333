"""Learned against fixed against random ratios: which rows stand together, and what the table says of them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reports import ratios
from reports.build import build
from tests.reports.synthetic import Kind, experiment, sign_again, table_of

OPTIONS = {"channels": 4, "cells": 5, "fixed_ratios": {}, "fixed_ratio_epochs": 8}
TWIN = {**OPTIONS, "fixed_ratios": {"operation": 0.3}, "fixed_ratio_epochs": 3}
KINDS = (
    Kind("mgas", "mgas", 3.0, params=25e3), Kind("twin", "mgas", 3.5, params=25e3),
    Kind("other", "mgas", 3.2, params=25e3), Kind("mgas-random", "random_sampling", 4.0, params=24.9e3, hours=0.0),
    Kind("random", "random_sampling", 4.5, hours=0.0),
)  # fmt: skip


def document(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = experiment(tmp_path / "runs", KINDS, searches=2, retrains=1)
    searches = {}
    for path in made.glob("search-*"):
        run = document(path / "run.json")
        searches[run["label"], run["search_seed"]] = run["signature"]
    for path in made.glob("*/run.json"):
        run = document(path)
        label, seed = run["label"], run["search_seed"]
        if run["phase"] == "search":
            options = {"twin": TWIN, "other": {**TWIN, "channels": 8}}.get(label, OPTIONS)
            run["config"]["options"] = options if run["method"] == "mgas" else {"samples": 1}
            if label == "mgas-random":
                matched = searches["mgas", seed]
                run["config"]["match"] = {"run": matched, "select": None, "on": "params", "tolerance": 0.01}
                run["needs"] = [matched]
        else:
            run["config"]["architecture"]["select"] = None
            found = document(path.parent / "architecture.json")
            found["provenance"]["remaining_ratios"] = {
                "operation": [0.2, 0.4], "filter": [0.5 + 0.1 * seed, 1.0], "weight": [1.0, 0.9],
            }  # fmt: skip
            (path.parent / "architecture.json").write_text(json.dumps(found))
        path.write_text(json.dumps(run))
    sign_again(made)
    return made


def test_the_group_holds_the_twin_and_the_matched_draw_and_no_other_row(folder: Path) -> None:
    table = table_of(folder)
    (lines,) = ratios.groups(table)
    assert [(line.ratios, line.entry.row.name) for line in lines] == [
        ("learned", "mgas"), ("fixed", "twin"), ("random", "mgas-random"),
    ]  # fmt: skip
    assert lines[0].left == pytest.approx({"operation": 0.3, "filter": 0.775, "weight": 0.95})
    errors = [line.entry.summary.value for line in lines]
    assert lines[0].difference is None
    assert lines[2].difference == pytest.approx(errors[2] - errors[0])
    assert lines[2].p == table.adjusted[frozenset(("mgas", "mgas-random"))]


def test_the_matched_draw_is_not_the_baseline_and_costs_no_search(folder: Path) -> None:
    table = table_of(folder)
    assert table.random is not None
    assert table.random.row.label == "random"
    drawn = next(entry for entry in table.entries if entry.row.label == "mgas-random")
    assert drawn.improvement is not None
    assert drawn.summary.search_hours == 0
    assert {run.info.label for run in drawn.row.searches} == {"mgas-random"}


def test_a_matched_draw_is_no_absence_of_random_sampling(folder: Path) -> None:
    assert not any("relative improvement cannot be stated" in note for note in table_of(folder).notes)
    for path in (*folder.glob("search-random-*"), *folder.glob("train-random-*")):
        shutil.rmtree(path)
    notes = table_of(folder).notes
    assert "random sampling only at the size of other rows: relative improvement cannot be stated" in notes


def test_every_form_has_it(folder: Path, tmp_path: Path) -> None:
    result = build([folder], tmp_path / "out", ["csv", "md", "tex", "html"])
    assert ratios.TITLE in result.table
    table = table_of(folder)
    stem = tmp_path / "out" / "tables" / f"{table.setting.slug}-ratios"
    rows = list(csv.DictReader(io.StringIO(stem.with_suffix(".csv").read_text())))
    assert [(row["group"], row["ratios"], row["method"]) for row in rows] == [
        ("mgas", "learned", "mgas"), ("mgas", "fixed", "twin"), ("mgas", "random", "mgas-random"),
    ]  # fmt: skip
    assert float(rows[1]["operations %"]) == pytest.approx(30)
    assert "| random | mgas-random | 2 |" in stem.with_suffix(".md").read_text().replace("\\", "")
    assert r"\toprule" in stem.with_suffix(".tex").read_text()
    assert ratios.TITLE in (tmp_path / "out" / "index.html").read_text()


def test_a_table_without_companions_has_none(tmp_path: Path) -> None:
    made = experiment(tmp_path / "runs", KINDS[:1], searches=2, retrains=1)
    assert ratios.groups(table_of(made)) == []
    result = build([made], tmp_path / "out", ["csv"])
    assert ratios.TITLE not in result.table
    assert not list((tmp_path / "out" / "tables").glob("*-ratios.csv"))
