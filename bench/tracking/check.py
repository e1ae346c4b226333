"""Does MLflow show what the records say? This only looks: it makes no store, no experiment and no run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from bench.records.directory import Record, RecordError, read_records
from bench.tracking import view
from bench.tracking.held import find_held
from bench.tracking.mirror import is_alive
from bench.tracking.runs import is_up_to_date
from bench.tracking.store import Store, client_of, tracker_errors
from bench.tracking.tables import StoredRun

LONG_SECONDS = 60
"""After which a request is given up here: nothing waits for it, and a slow tracker is none that failed."""


@dataclass(frozen=True)
class Comparison:
    """How far a store is behind the records of one folder.

    Attributes:
        finished: how many runs are done or have failed.
        missing: names of those that the store does not hold.
        differing: names of those that it shows otherwise than their records.
        store_exists: false where there is nothing to look into.
    """

    finished: int
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    store_exists: bool = True


def compare(folder: Path, store: Store) -> Comparison:
    """As `compare_records`, of the runs of an experiment's folder."""
    return compare_records(read_records(folder)[0], store)


def compare_records(records: Sequence[Record], store: Store) -> Comparison:
    """What `dasbench sync` would add or change for the finished runs of an experiment and profile.

    MLflow is imported only when there is a finished run and a store that may hold it.

    Raises:
        TrackingError: the tracker cannot be reached or read.
    """
    finished = [record for record in records if _is_finished(record)]
    if not finished:
        return Comparison(0)
    if not exists(store):
        return Comparison(len(finished), [record.info.name for record in finished], store_exists=False)
    with tracker_errors(store):
        held = find_held(store, finished[0].info, lambda: client_of(store, LONG_SECONDS)).runs
    missing = [record for record in finished if view.key(record) not in held]
    differing = [record for record in finished if view.key(record) in held and not _is_shown(record, held)]
    return Comparison(len(finished), _names(missing), _names(differing))


def exists(store: Store) -> bool:
    """Whether there is something to ask: a database that MLflow has laid out, or a server, which answers for itself."""
    if store.file is None:
        return True
    if not store.file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store.file))}?mode=ro", uri=True, timeout=1.0)) as database:
            return database.execute("select 1 from sqlite_master where name = 'experiments'").fetchone() is not None
    except sqlite3.Error:
        return True  # locked or damaged: MLflow says what is the matter


def _is_finished(record: Record) -> bool:
    return record.result is not None or record.info.status == "failed"


def _is_shown(record: Record, held: dict[str, StoredRun]) -> bool:
    try:
        return is_up_to_date(held[view.key(record)], record, is_alive)
    except RecordError:
        return False


def _names(records: Sequence[Record]) -> list[str]:
    return [record.info.name for record in records]
