"""Edited records: whatever one file of one run holds, it is named or harmless, and every other run is there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records.directory import read_records
from bench.tracking.check import compare
from bench.tracking.mirror import open_store, sync
from reports.analysis import analyse
from reports.raw import runs_csv
from reports.table import to_csv, to_text
from slurm.status import status, table
from tests.fuzz.limits import FEW, MANY, at_once
from tests.reports.synthetic import KINDS, experiment

FILES = ("run.json", "result.json", "metrics.jsonl", "progress.json", "architecture.json", "error.log")
WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, "", "x", "\ud800", "'\"[/red]", "../../up", [], {},
    [[[]]], {"a": {"b": 1}}, "x" * 20_000, -(10**18), 2**63,
)  # fmt: skip


def bytes_changed(content: bytes, chance: random.Random) -> bytes:
    """Cut, flipped, doubled, replaced by what is no text, deeply nested, or emptied."""
    place = chance.randrange(len(content) + 1)
    return chance.choice(
        (content[:place], content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :], content * 2,
         b"\xff\xfe\x00" + content, b"[" * 100_000, b"", b"null", b"[]", b'{"a":' * 20_000)
    )  # fmt: skip


def value_changed(content: bytes, chance: random.Random) -> bytes:
    """One value, somewhere, is another one, is gone, or stands beside an unknown one."""
    try:
        lines = [json.loads(line) for line in content.splitlines()] if content.count(b"}\n{") else [json.loads(content)]
    except ValueError:
        return bytes_changed(content, chance)
    place = chance.choice(lines)
    while isinstance(place, dict) and place:
        key = chance.choice(list(place))
        if isinstance(place[key], dict) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        action = chance.randrange(3)
        if action == 0:
            del place[key]
        elif action == 1:
            place["unknown"] = 1
        else:
            place[key] = chance.choice(WEIRD)
        break
    return ("\n".join(json.dumps(line, indent=None if len(lines) > 1 else 1) for line in lines) + "\n").encode()


def edit(path: Path, chance: random.Random) -> None:
    """One file of a run directory, in one of many ways; a folder in its place is one of them."""
    file = path / chance.choice(FILES)
    content = file.read_bytes() if file.exists() else b'{"epoch": 1, "epochs": 3, "seconds_left": 2.0}'
    if chance.random() < 0.05:
        file.unlink(missing_ok=True)
        file.mkdir()
        return
    changed = bytes_changed if chance.random() < 0.4 else value_changed
    file.write_bytes(changed(content, chance))


def looks(folder: Path, edited: Path) -> None:
    """Everything that reads records, with what it has to say of all the others."""
    with at_once():
        look_at_all(folder, len(list(folder.iterdir())) - 1)


def look_at_all(folder: Path, others: int) -> None:
    store = open_store(folder.parent, f"sqlite:///{folder.parent}/mlflow.db")
    records, problems = read_records(folder)
    assert len(records) + len(problems) == others + 1
    now = status(folder)
    assert sum(run.state == "done" for run in now.runs) >= others
    table([now])
    tables, _ = analyse(records)
    for each in tables:
        to_text(each)
        to_csv(each)
    runs_csv(tables)
    report = sync(folder, store)
    assert report.created + report.updated + report.unchanged + report.waiting + len(report.problems) >= others + 1
    assert compare(folder, store).finished >= others


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return experiment(tmp_path, KINDS[:2], searches=1, retrains=1, epochs=2)


def check_edit(folder: Path, chance: random.Random, looks: Callable[[Path, Path], None]) -> None:
    """Edit a run, look at all of them, and put it back."""
    path = chance.choice(sorted(path for path in folder.iterdir() if path.is_dir()))
    kept = folder.parent / "kept"
    shutil.copytree(path, kept)
    try:
        edit(path, chance)
        looks(folder, path)
    finally:
        shutil.rmtree(path)
        kept.rename(path)


def test_unedited_records_are_all_there(folder: Path) -> None:
    looks(folder, next(folder.iterdir()))


@given(st.randoms(use_true_random=False))
@settings(FEW, max_examples=15)
def test_an_edited_record_is_named_and_all_others_are_there(folder: Path, chance: random.Random) -> None:
    check_edit(folder, chance, looks)


@pytest.mark.long
@given(st.randoms(use_true_random=False))
@MANY
def test_many_edited_records(folder: Path, chance: random.Random) -> None:
    check_edit(folder, chance, looks)
