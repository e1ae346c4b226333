"""Write records as MLflow runs. Who may write, and when, is `bench.tracking.mirror`'s concern."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.records.directory import Record, RecordError, read_record
from bench.tracking import tables, view
from bench.tracking.artifacts import Artifacts, Attached, attach, place_for, read_bytes
from bench.tracking.held import GROUP, KEY, STATE, Held, find_held, group_of
from bench.tracking.store import Store, connect

_METRICS_AT_ONCE = 800  # with params and tags below MLflow's limit of 1000 entries for one request
_NAMES_AT_ONCE = 100
_RUNS_AT_ONCE = 100
_ARTIFACTS, _LINES = "dasbench.artifacts", "dasbench.lines"
_DESCRIPTION = (
    "One parent run for each profile; its nested runs are searches (`phase = 'search'`), transforms and retrainings "
    "(`phase = 'train'`). Filter for example with `tags.method = 'darts' and tags.phase = 'train'`; compare "
    "`result/test_accuracy` (of another task, its own metric) with `cost/params`. Metrics by epoch are under `search/` "
    "and `train/`, a method's own values under its name. This is a copy: the truth is in each run's `run_directory`, "
    "and `dasbench sync` rebuilds this view."
)

_EXPERIMENT_TAGS = {
    "mlflow.note.content": _DESCRIPTION,
    "mlflow.experimentKind": "custom_model_development",  # the page opens on runs, not on language-model traces
}
_REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE")
"""How MLflow says that what it was given, and not MLflow, is wrong."""


def create_experiment(client: Any, artifact_root: Path | None, name: str) -> str:
    """The id of the MLflow experiment of that name, made or restored if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        folder = re.sub(r"[/\\]|^\.+$", "_", name)
        location = None if artifact_root is None else (artifact_root / folder).as_uri()
        return str(client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


@dataclass
class MirroredExperiment:
    """An experiment and profile in MLflow, brought up to date run by run; MLflow is imported when something is to do.

    New runs of a SQLite store are kept until there are many, and added together: `finish` adds the last.
    """

    store: Store
    records: Sequence[Record]
    alive: Callable[[Record], bool]
    artifacts: Artifacts | None = None
    _new: list[tuple[str, view.Shown]] = field(default_factory=list)

    @cached_property
    def client(self) -> Any:
        return connect(self.store)

    @cached_property
    def held(self) -> Held:
        return find_held(self.store, self.records[0].info, lambda: self.client)

    @cached_property
    def experiment_id(self) -> str:
        return create_experiment(self.client, self.store.artifact_root, self.records[0].info.experiment)

    @cached_property
    def table(self) -> tables.StoredExperiment | None:
        """Where new runs can be added together; None where they go one by one."""
        name, file = self.records[0].info.experiment, self.store.file
        return tables.read_experiment(file, name) if file is not None and self.experiment_id else None

    @cached_property
    def parent(self) -> str:
        """The id of the parent run, made if need be."""
        if self.held.parent is not None:
            return self.held.parent.run_id
        info = self.records[0].info
        tags = {GROUP: group_of(info), "experiment": info.experiment, "profile": info.profile, "phase": "all"}
        start = min(self._moments(record.info.created for record in self.records))
        run = self.client.create_run(self.experiment_id, start, tags, run_name=f"{info.experiment} {info.profile}")
        return str(run.info.run_id)

    def mirror(self, record: Record) -> str:
        """Bring one nested run up to date; returns "created", "updated" or "unchanged".

        Raises:
            RecordError: the record cannot be read or shown.
            ArtifactError: a drawing of it could not be made; everything else of it is there.
        """
        status = shown_status(record, self.alive)
        state = view.state(status, read_files(record.path))
        known = self.held.runs.get(view.key(record))
        if known is not None and known.tags.get(STATE) == state:
            return "unchanged"
        record = read_record(record.path)  # what is shown is never older than the state it is marked with
        lines = record.directory.read_metrics()
        shown = view.shown(record, status, lines, last_sign(record))
        shown.tags.update({GROUP: group_of(record.info), KEY: view.key(record), "mlflow.parentRunId": self.parent})
        at_once = known is None and shown.tags["run_directory"] not in self.held.by_directory
        if at_once and self.table is not None:
            self._add(record, shown, state, self.table)
        else:
            with _record_is_wrong(record):
                self._write(known, record, shown, lines, state)
        return "created" if known is None else "updated"

    def _add(self, record: Record, shown: view.Shown, state: str, table: tables.StoredExperiment) -> None:
        run_id = tables.new_run_id()
        attached = self._attach(run_id, tables.artifact_uri(table, run_id), record)
        shown.tags.update({_ARTIFACTS: attached.mark, STATE: state} if attached.trouble is None else {})
        self._new.append((run_id, shown))
        if len(self._new) >= _RUNS_AT_ONCE:
            self.flush()
        if attached.trouble is not None:
            raise attached.trouble

    def flush(self) -> None:
        """Add the runs that were kept."""
        new, self._new = self._new, []
        if new and self.store.file is not None and self.table is not None:
            tables.add_runs(self.store.file, self.table, new)

    def _write(
        self, known: tables.StoredRun | None, record: Record, shown: view.Shown, lines: list[dict[str, Any]], state: str
    ) -> None:
        """A run through MLflow's client: what it holds already is kept and added to.

        An interruption anywhere is harmless: MLflow refuses to change a param but takes the same value again, and keeps
        a metric of the same name, step, time and value once. What marks it as complete comes last.
        """
        logged = _logged_lines(known.tags, lines) if known is not None else None
        if known is None or logged is None:  # new, or its metrics were taken back (a resume from an older checkpoint)
            known, logged = self._create(shown), 0
        if shown.end is None:
            self.client.update_run(known.run_id, status=shown.status)
        else:
            self.client.set_terminated(known.run_id, status=shown.status, end_time=shown.end)
        if record.info.error is None and "error" in known.tags:
            self.client.delete_tag(known.run_id, "error")
        metrics = [value for line in lines[logged:] for value in view.epoch_metrics(record.info.phase, line)]
        metrics += view.result_metrics(record)
        params = {} if STATE in known.tags else shown.params
        _log(self.client, known.run_id, metrics, params, shown.tags)
        attached = self._attach(known.run_id, known.artifact_uri, record, known.tags.get(_ARTIFACTS))
        if attached.trouble is not None:
            raise attached.trouble
        _log(self.client, known.run_id, [], {}, {_ARTIFACTS: attached.mark, STATE: state})

    def _create(self, shown: view.Shown) -> tables.StoredRun:
        """A new nested run, in place of any that stands for the same run or the same run directory."""
        held = self.held
        for runs, name in ((held.runs, shown.tags[KEY]), (held.by_directory, shown.tags["run_directory"])):
            earlier = runs.get(name)
            if earlier is not None:
                self.client.delete_run(earlier.run_id)
                self.held.remove(earlier)
        names = (GROUP, KEY, "mlflow.parentRunId", "mlflow.user")
        identity = {name: shown.tags[name] for name in names if name in shown.tags}
        run = self.client.create_run(self.experiment_id, start_time=shown.start, tags=identity, run_name=shown.name)
        tags = {**run.data.tags, "run_directory": shown.tags["run_directory"]}
        made = tables.StoredRun(run.info.run_id, run.info.status, run.info.artifact_uri, tags)
        self.held.add(made)
        return made

    def _attach(self, run_id: str, uri: str, record: Record, held: str | None = None) -> Attached:
        return attach(record, self.artifacts, held, place_for(lambda: self.client, run_id, uri))

    def finish(self) -> None:
        """Add what was kept, and the parent's status: at work while a run is, failed when one failed, finished when all
        are."""
        self.flush()
        shown = {shown_status(record, self.alive) for record in self.records}
        order = ("RUNNING", "FAILED", "KILLED", "SCHEDULED", "FINISHED")
        status = next(name for name in order if name in shown)
        if self.held.parent is not None and self.held.parent.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(self.parent, status=status)
        else:
            end = max(self._moments(record.info.finished or last_sign(record) for record in self.records))
            self.client.set_terminated(self.parent, status=status, end_time=end)

    def _moments(self, seconds: Iterable[float]) -> list[int]:
        """Times in milliseconds, without those that an edited record made impossible; now if there is no other."""
        return [view.milliseconds(each) for each in seconds if view.is_moment(each)] or [round(time.time() * 1000)]


def is_up_to_date(run: tables.StoredRun, record: Record, alive: Callable[[Record], bool]) -> bool:
    """Whether a nested run shows all that the record says: mirroring it again would change nothing.

    Raises:
        RecordError: a file of the record cannot be read.
    """
    return run.tags.get(STATE) == view.state(shown_status(record, alive), read_files(record.path))


def read_files(path: Path) -> dict[str, bytes]:
    """The files of a run directory that decide what is shown of it.

    Raises:
        RecordError: one of them is there and cannot be read.
    """
    return {name: read_bytes(path / name) for name in view.FILES}


def shown_status(record: Record, alive: Callable[[Record], bool]) -> str:
    status = view.STATUS[record.info.status]
    return "KILLED" if status == "RUNNING" and not alive(record) else status


def _logged_lines(tags: Mapping[str, str], lines: list[dict[str, Any]]) -> int | None:
    """How many lines MLflow holds; None when they are not the first lines of the record any more."""
    count, _, digest = tags.get(_LINES, "0:").partition(":")
    logged = int(count)
    return logged if logged == 0 or view.digest(lines[:logged]) == digest else None


def last_sign(record: Record) -> float:
    """When the record was last written to, in seconds since the epoch."""
    files = [record.path / "metrics.jsonl", record.path / "run.json"]
    return max((file.stat().st_mtime for file in files if file.exists()), default=record.info.created)


def _log(
    client: Any, run_id: str, metrics: list[view.Value], params: Mapping[str, str], tags: Mapping[str, str]
) -> None:
    """In as few requests as MLflow's limits allow; the tags, which say what is there, go with the last metrics."""
    from mlflow.entities import Metric, Param, RunTag

    values = [Metric(*value) for value in metrics]
    settings = [Param(name, value) for name, value in params.items()]
    while len(values) > _METRICS_AT_ONCE or len(settings) > _NAMES_AT_ONCE:
        client.log_batch(run_id, metrics=values[:_METRICS_AT_ONCE], params=settings[:_NAMES_AT_ONCE])
        values, settings = values[_METRICS_AT_ONCE:], settings[_NAMES_AT_ONCE:]
    client.log_batch(run_id, metrics=values, params=settings, tags=[RunTag(*tag) for tag in tags.items()])


@contextmanager
def _record_is_wrong(record: Record) -> Iterator[None]:
    """What MLflow refuses of a record is not MLflow's fault."""
    try:
        yield
    except Exception as error:
        if getattr(error, "error_code", None) in _REFUSED:
            raise RecordError(
                f"{record.path} cannot be shown in MLflow: {' '.join(str(error).split())[:300]}"
            ) from error
        raise
