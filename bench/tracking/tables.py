"""MLflow's own tables in a SQLite store: thousands of runs read or added at once.

MLflow's client adds a run in about ten transactions and reads everything of a run to tell one tag. Where the tables are
the ones known here, they are read and filled directly, many runs in a transaction; what comes out is what the client
would have written (`tests/bench/test_tracking_tables.py` compares every row). Where they are not, as a later MLflow may
have it, every function here answers None or False, and the client is asked instead.
"""

from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.tracking.store import read_only
from bench.tracking.view import Shown, Value

_COLUMNS = {
    "experiments": ("experiment_id", "name", "artifact_location", "lifecycle_stage"),
    "runs": ("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time",
             "end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    "tags": ("key", "value", "run_uuid"),
    "params": ("key", "value", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
}  # fmt: skip
_LARGEST = 1.7976931348623157e308
_WAIT_S = 30.0


@dataclass(frozen=True)
class StoredRun:
    """A run in the tables, with its tags."""

    run_id: str
    status: str
    artifact_uri: str
    tags: dict[str, str]


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment in the tables."""

    experiment_id: int
    location: str


def are_known(database: sqlite3.Connection) -> bool:
    """Whether the tables have the columns filled here, and no other that has to be filled."""
    for table, ours in _COLUMNS.items():
        found = {name: (needed, default) for _, name, _, needed, default, _ in _info(database, table)}
        left_out = [
            name for name, (needed, default) in found.items() if needed and default is None and name not in ours
        ]
        if not set(ours) <= set(found) or left_out:
            return False
    triggers = database.execute("select tbl_name from sqlite_master where type = 'trigger'")
    return not set(_COLUMNS) & {table for (table,) in triggers}


def _info(database: sqlite3.Connection, table: str) -> list[tuple[int, str, str, int, object, int]]:
    return database.execute(f"pragma table_info({table})").fetchall()


def read_experiment(file: Path, name: str) -> StoredExperiment | None:
    """The experiment of that name; None when there is none that is active, several, or the tables are not known."""
    with read_only(file) as database:
        return _experiment(database, name) if are_known(database) else None


def _experiment(database: sqlite3.Connection, name: str) -> StoredExperiment | None:
    found = database.execute(
        "select experiment_id, artifact_location, lifecycle_stage from experiments where name = ?", (name,)
    ).fetchall()
    if len(found) != 1 or found[0][2] != "active":
        return None
    return StoredExperiment(found[0][0], found[0][1])


def read_runs(file: Path, experiment: str, tag: str, value: str) -> list[StoredRun] | None:
    """The active runs of an experiment that carry a tag, oldest first; None when the tables are not known.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    with read_only(file) as database:
        if not are_known(database):
            return None
        chosen = (
            "from tags mark join runs on runs.run_uuid = mark.run_uuid and runs.lifecycle_stage = 'active' "
            "join experiments on experiments.experiment_id = runs.experiment_id and experiments.name = ? "
            "where mark.key = ? and mark.value = ?"
        )
        given = (experiment, tag, value)
        runs = database.execute(
            f"select runs.run_uuid, runs.status, runs.artifact_uri {chosen} order by runs.start_time", given
        ).fetchall()
        tags: dict[str, dict[str, str]] = {run_id: {} for run_id, _, _ in runs}
        for run_id, key, text in database.execute(
            f"select run_uuid, key, value from tags where run_uuid in (select runs.run_uuid {chosen})", given
        ):
            tags[run_id][key] = text
    return [StoredRun(run_id, status, uri, tags[run_id]) for run_id, status, uri in runs]


def new_run_id() -> str:
    return uuid.uuid4().hex


def artifact_uri(experiment: StoredExperiment, run_id: str) -> str:
    return f"{experiment.location.rstrip('/')}/{run_id}/artifacts"


def add_runs(file: Path, experiment: StoredExperiment, runs: Sequence[tuple[str, Shown]]) -> None:
    """Add runs, by their new id, in one transaction: all of them or none.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    with closing(sqlite3.connect(file, timeout=_WAIT_S)) as database, database:
        _insert(database, "runs", (_run(experiment, run_id, shown) for run_id, shown in runs))
        _insert(
            database,
            "tags",
            ((k, v, i) for i, run in runs for k, v in {**run.tags, "mlflow.runName": run.name}.items()),
        )
        _insert(database, "params", ((key, value, run_id) for run_id, run in runs for key, value in run.params.items()))
        _insert(database, "metrics", (row for run_id, run in runs for row in _metrics(run_id, run.metrics)))
        _insert(database, "latest_metrics", (row for run_id, run in runs for row in _latest(run_id, run.metrics)))


def _insert(database: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    columns = _COLUMNS[table]
    places = ", ".join("?" * len(columns))
    names = ", ".join(f'"{column}"' for column in columns)
    database.executemany(f"insert into {table} ({names}) values ({places})", rows)


def _run(experiment: StoredExperiment, run_id: str, run: Shown) -> tuple[object, ...]:
    user = run.tags.get("mlflow.user", "unknown")
    uri = artifact_uri(experiment, run_id)
    where = ("active", uri, experiment.experiment_id)
    return (run_id, run.name, "UNKNOWN", "", "", user, run.status, run.start, run.end, "", *where)


def _number(value: float) -> tuple[float, bool]:
    """As MLflow stores it: NaN as 0 with a mark, infinity as the largest number there is."""
    if math.isnan(value):
        return 0.0, True
    return max(-_LARGEST, min(_LARGEST, value)), False


def _metrics(run_id: str, metrics: Iterable[Value]) -> Iterator[tuple[object, ...]]:
    """Each once, as MLflow has it."""
    for name, moment, step, (value, is_nan) in dict.fromkeys((n, t, s, _number(v)) for n, v, t, s in metrics):
        yield name, value, moment, run_id, step, is_nan


def _latest(run_id: str, metrics: Iterable[Value]) -> Iterator[tuple[object, ...]]:
    """Of each metric the value of the highest step, then time, then value."""
    latest: dict[str, tuple[int, int, float, bool]] = {}
    for name, value, moment, step in metrics:
        found = (step, moment, *_number(value))
        if name not in latest or found[:3] > latest[name][:3]:
            latest[name] = found
    for name, (step, moment, value, is_nan) in latest.items():
        yield name, value, moment, step, is_nan, run_id
