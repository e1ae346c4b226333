"""A store is made whole or not at all; one that is no store, or half of one, is named with the next step."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench.tracking import store as tracking_store
from bench.tracking.mirror import TrackingError, open_store, prepare, sync
from bench.tracking.store import Store, fault_of
from tests.bench.mirrored import add_run

KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from bench.tracking import store

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

class Client:
    def __init__(self, uri): self.file = uri.removeprefix("sqlite:///")
    def search_experiments(self, max_results):
        with sqlite3.connect(self.file) as database:
            database.execute("create table experiments (name)")
            if MOMENT == "laying out": database.commit(); die()
            for name in ("runs", "tags", "alembic_version"): database.execute(f"create table {name} (a)")
            database.execute("insert into alembic_version values ('head')")

MOMENT, file = sys.argv[1], Path(sys.argv[2])
store._client = Client
if MOMENT == "copying": store.os.fsync = die
if MOMENT == "naming": store.os.link = die
if MOMENT == "named":
    link = os.link
    store.os.link = lambda *names: (link(*names), die())
store._create_database(file)
"""


@pytest.mark.parametrize("moment", ["laying out", "copying", "naming", "named", "never"])
@pytest.mark.parametrize("before", [None, b""])
def test_a_store_killed_while_it_is_made(tmp_path: Path, moment: str, before: bytes | None) -> None:
    file = tmp_path / "mlflow.db"
    if before is not None:
        file.write_bytes(before)
    done = subprocess.run([sys.executable, "-c", KILLED, moment, str(file)], capture_output=True, check=False)
    killed = moment != "never" and not (before is not None and moment in ("naming", "named"))  # no link is made then
    assert done.returncode == (-9 if killed else 0), done.stderr
    there = tracking_store.holds_something(file)
    assert there == (not killed or moment == "named")
    assert not there or fault_of(file) is None
    if not there:
        again = subprocess.run([sys.executable, "-c", KILLED, "never", str(file)], capture_output=True, check=False)
        assert again.returncode == 0
        assert fault_of(file) is None
        assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_who_is_first_with_a_store_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    second.write_text("2")
    tracking_store._name_if_free(first, tmp_path / "mlflow.db")
    tracking_store._name_if_free(second, tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "1"


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, uri: str) -> None:
            Path(uri.removeprefix("sqlite:///")).write_text("half")

        def search_experiments(self, max_results: int) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(tracking_store, "_client", Full)
    store = open_store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(TrackingError, match=r"disk is full.*dasbench sync"):
        prepare(store)
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db.lock", "mlartifacts"}


def one_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table experiments (name text)")
        database.commit()


def no_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("delete from alembic_version")
        database.commit()


def earlier_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("update alembic_version set version_num = '451aebb31d03'")
        database.commit()


def foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table letters (text text)")
        database.commit()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: (file.unlink(), one_table(file)), "was never completed.*remove the file and run `dasbench sync`"),
        (no_version, "was never completed.*remove the file and run `dasbench sync`"),
        (earlier_version, "was never completed.*remove the file and run `dasbench sync`"),
        (foreign, "is a database of another program; choose another store"),
        (lambda file: file.write_text("not a database " * 100), "is damaged or not a database .*move the file away"),
        (lambda file: file.write_bytes(file.read_bytes()[:40_000]), "is damaged or not a database .*move the file"),
    ],
)
def test_a_dead_store_is_named_at_once(runs_dir: Path, spoil: Callable[[Path], object], said: str) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)
    assert store.file is not None
    spoil(store.file)
    started = time.monotonic()
    with pytest.raises(TrackingError, match=said):
        sync(runs_dir / "tiny-quick", store)
    assert time.monotonic() - started < 30  # MLflow alone would try again and again for an hour
    store.file.unlink()
    shutil.rmtree(runs_dir / "mlartifacts", ignore_errors=True)


def test_a_store_of_an_earlier_mlflow_is_no_dead_one(runs_dir: Path) -> None:
    add_run(runs_dir)
    store = open_store(runs_dir)
    sync(runs_dir / "tiny-quick", store)
    assert store.file is not None
    earlier_version(store.file)
    add_run(runs_dir, seed=1)
    with pytest.raises(TrackingError, match="mlflow db upgrade"):
        sync(
            runs_dir / "tiny-quick",
            Store(store.uri.replace("sqlite:///", "sqlite:////"), store.artifact_root, store.lock),
        )


@pytest.mark.long
def test_mlflow_killed_while_it_makes_a_store(tmp_path: Path) -> None:
    """The real thing: wherever the kill strikes, the next sync has a store that works."""
    program = (
        "import sys; from pathlib import Path; from bench.tracking.mirror import *; "
        "prepare(open_store(Path(sys.argv[1])))"
    )
    made = 0
    for number in range(6):
        runs_dir = tmp_path / str(number)
        add_run(runs_dir)
        process = subprocess.Popen([sys.executable, "-c", program, str(runs_dir)], env=environment())
        while not list(runs_dir.glob(".mlflow.db.*.new")):
            time.sleep(0.005)
            assert process.poll() is None
        time.sleep(0.3 * number)
        process.kill()
        process.wait()
        made += (runs_dir / "mlflow.db").exists()
        assert sync(runs_dir / "tiny-quick", open_store(runs_dir)).created == 1
        assert not list(runs_dir.glob(".mlflow.db.*.new"))
    assert made < 6, "every kill came too late to show anything"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
