"""What MLflow holds already of an experiment and profile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.records.directory import RunInfo
from bench.tracking.store import Store, holds_something
from bench.tracking.tables import StoredRun, read_runs

GROUP, KEY, STATE = "dasbench.group", "dasbench.key", "dasbench.state"


@dataclass
class Held:
    """The parent run, the nested runs by key, and those by the run directory they stand for."""

    parent: StoredRun | None = None
    runs: dict[str, StoredRun] = field(default_factory=dict)
    by_directory: dict[str, StoredRun] = field(default_factory=dict)

    def add(self, run: StoredRun) -> None:
        self.runs[run.tags[KEY]] = run
        if "run_directory" in run.tags:
            self.by_directory[run.tags["run_directory"]] = run

    def remove(self, run: StoredRun) -> None:
        self.runs.pop(run.tags[KEY], None)
        self.by_directory.pop(run.tags.get("run_directory", ""), None)


def group_of(info: RunInfo) -> str:
    return f"{info.experiment}-{info.profile}"


def find_held(store: Store, info: RunInfo, client: Callable[[], Any]) -> Held:
    """What a store holds of a run's experiment and profile; MLflow itself is asked where its tables cannot be read."""
    if store.file is not None:
        if not holds_something(store.file):
            return Held()
        try:
            found = read_runs(store.file, info.experiment, GROUP, group_of(info))
        except sqlite3.Error:  # locked or damaged: MLflow says what is the matter
            found = None
        if found is not None:
            return _sorted(found)
    return _sorted(_ask(client(), info))


def _sorted(runs: Iterable[StoredRun]) -> Held:
    held = Held()
    for run in runs:
        if KEY in run.tags:
            held.add(run)
        else:
            held.parent = held.parent or run
    return held


def _ask(client: Any, info: RunInfo) -> list[StoredRun]:
    experiment = client.get_experiment_by_name(info.experiment)
    if experiment is None:
        return []
    runs, token, wanted = [], None, group_of(info)
    while True:
        page = client.search_runs(
            [experiment.experiment_id], _filter(wanted), max_results=1000, order_by=["start_time"], page_token=token
        )
        runs += [
            StoredRun(run.info.run_id, run.info.status, run.info.artifact_uri, dict(run.data.tags))
            for run in page
            if run.data.tags.get(GROUP) == wanted
        ]
        token = page.token
        if not token:
            return runs


def _filter(group: str) -> str:
    """The filter of a group; MLflow's language has no escape for quotes: with both kinds in it, only the tag's presence
    can be asked for."""
    for quote in "'\"":
        if quote not in group:
            return f"tags.`{GROUP}` = {quote}{group}{quote}"
    return f"tags.`{GROUP}` LIKE '%'"
