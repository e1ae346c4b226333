"""Runs added through the tables of a SQLite store are, row by row, what MLflow's client would have written."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.records.directory import Record
from bench.tracking import tables as tracking_tables
from bench.tracking.check import Comparison, compare
from bench.tracking.mirror import SyncReport, open_store, sync
from tests.bench.mirrored import add_run, all_runs, children, client, counts, history


def rows(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the tables of runs, with names in the place of ids, and without the places of artifacts."""
    with closing(sqlite3.connect(file)) as database:
        names = dict(database.execute("select run_uuid, name from runs"))
        found = {}
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            columns = [name for _, name, *_ in database.execute(f"pragma table_info({table})")]
            kept = [column for column in columns if column != "artifact_uri"]
            lines = database.execute(f"select {', '.join(kept)} from {table}").fetchall()
            found[table] = sorted([tuple(names.get(value, value) for value in line) for line in lines], key=repr)
    return found


def files(folder: Path) -> list[str]:
    """Names and contents of all artifacts."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(f"{'/'.join(path.parts[path.parts.index('artifacts') :])}: {path.read_bytes()!r}" for path in found)


def mirrored(runs_dir: Path, store_dir: Path, empty_store: Path) -> SyncReport:
    """A sync into a store of its own."""
    store_dir.mkdir()
    shutil.copy(empty_store, store_dir / "mlflow.db")
    picture = store_dir / "cells.svg"
    picture.write_text("<svg/>")

    def drawings(record: Record) -> dict[str, Path]:
        if record.info.search_seed == 1:
            raise ValueError("no ink")
        return {"cells/normal.svg": picture}

    return sync(runs_dir / "tiny-quick", open_store(runs_dir, f"sqlite:///{store_dir}/mlflow.db"), drawings)


def strange(runs_dir: Path) -> None:
    """Records of every status, values that MLflow stores in its own way, and names it would refuse."""
    for seed, status in enumerate(("done", "done", "failed", "interrupted", "running")):
        add_run(runs_dir, seed=seed, status=status)
    add_run(runs_dir, phase="train", epochs=0)
    edited = add_run(runs_dir, phase="train", seed=7)
    info = edited.read_info()
    info.config |= {"text": "x" * 7000, "half": "\ud800", "a": {"..": {"/x//": 1}}, "long" * 100: 2, "": 3}
    info.label, info.error, info.environment["started_by"] = "w/o 'pooling' \"x\"", "e" * 9000, "someone"
    edited.write_info(info)
    values = {"train/loss": math.nan, "lr": 1e308, "huge": 10**400, "./x": 1, "..": 2, "a//b": 3, "n" * 300: 4, " ": 5}
    edited.append_metrics(2, 9, values, 1.0, 1.0)  # an epoch that is there already, with other values
    edited.append_metrics(1, 9, {"lr": -0.0, "list": [1, [2, None], math.inf, True]}, 1.0, 1.0)
    path = edited.path / "metrics.jsonl"
    lines = [json.loads(line) | {"time": 1.7e9} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]))


def test_both_ways_write_the_same(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    strange(tmp_path)
    ours, theirs = tmp_path / "together", tmp_path / "one by one"
    added: list[int] = []
    add_runs = tracking_tables.add_runs
    monkeypatch.setattr(tracking_tables, "add_runs", lambda *of: (added.append(len(of[2])), add_runs(*of)))
    together = mirrored(tmp_path, ours, empty_store)
    assert added == [7]
    monkeypatch.setattr(tracking_tables, "are_known", lambda database: False)
    monkeypatch.setattr(tracking_tables, "add_runs", lambda *_: pytest.fail("the tables are not known"))
    one_by_one = mirrored(tmp_path, theirs, empty_store)
    assert together.problems == one_by_one.problems != []
    assert counts(together) == counts(one_by_one)
    assert rows(ours / "mlflow.db") == rows(theirs / "mlflow.db")
    assert files(ours / "mlartifacts") == files(theirs / "mlartifacts")
    assert len(rows(ours / "mlflow.db")["runs"]) == 8


def test_mlflow_reads_what_was_added(runs_dir: Path) -> None:
    strange(runs_dir)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    assert len(all_runs(store)) == 8
    found = children(store)["train w/o 'pooling' \"x\" s7 r1"]
    assert found.data.params["text"] == "x" * 6000
    assert any(math.isnan(value) for _, value in history(store, found, "train/train_loss"))
    names = [item.path for item in client(store).list_artifacts(found.info.run_id)]
    assert names == ["architecture.json", "result.json"]
    assert compare(runs_dir / "tiny-quick", store) == Comparison(5)


def test_tables_of_another_mlflow_are_left_to_it(runs_dir: Path) -> None:
    """A column that has to be filled, one that is gone, a trigger: nobody but MLflow knows what they are for."""
    store = open_store(runs_dir)
    assert store.file is not None
    for change in (
        "alter table runs add column mood text not null default ''",  # needs no value
        "alter table tags add column mood text",
    ):
        with closing(sqlite3.connect(store.file)) as database, database:
            database.execute(change)
            assert tracking_tables.are_known(database)
    for change in (
        "create trigger t after insert on runs begin select 1; end",
        "alter table metrics rename column is_nan to nan",
        "create table moods (a)",
    ):
        shutil.copy(store.file, runs_dir / "other.db")
        with closing(sqlite3.connect(runs_dir / "other.db")) as database, database:
            database.execute(change)
            assert tracking_tables.are_known(database) == (change == "create table moods (a)")
    assert tracking_tables.read_experiment(store.file, "no such") is None


def test_thousands_need_no_mlflow_to_be_seen_as_up_to_date(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        add_run(runs_dir, seed=seed)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    import mlflow

    monkeypatch.setattr(mlflow, "MlflowClient", lambda **_: pytest.fail("MLflow was asked"))
    assert compare(runs_dir / "tiny-quick", store) == Comparison(3)
    assert sync(runs_dir / "tiny-quick", store).unchanged == 3
