"""Mirror records into MLflow. The records are the truth; MLflow is a view that can be deleted and rebuilt from them.

One parent run for each experiment and profile, below it one nested run for each run directory. Mirroring twice adds
nothing; a run that went on gets its new epochs only. Nothing a tracker does (down, slow, full) can stop a run: only
`sync`, which a user asked for, raises; `Mirror` warns once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import tracking_view as view
from bench.lease import holder_of
from bench.records import Record, RecordError, read_records
from bench.tracking_runs import ArtifactError, Artifacts, MirroredExperiment, create_experiment, last_sign

_QUIET_S = 60.0  # a "running" run silent for this long is looked at more closely
_RETRY_S = 60.0


class TrackingError(RuntimeError):
    """The tracker cannot be reached or written; the message gives the cause and the next step."""


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps its runs.

    Attributes:
        uri: tracking URI; a SQLite path in it is absolute.
        artifact_root: folder for artifacts; None leaves it to the tracking server.
        lock: file that only one writer at a time holds.
    """

    uri: str
    artifact_root: Path | None
    lock: Path

    @property
    def shown(self) -> str:
        """The URI without its password."""
        password = urlsplit(self.uri).password
        return self.uri if password is None else self.uri.replace(f":{password}@", ":***@", 1)

    @property
    def file(self) -> Path | None:
        """The SQLite database; None for any other store."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:") else None


def open_store(runs_dir: Path, uri: str | None = None) -> Store:
    """The store for a RUNS_DIR: `uri`, else MLFLOW_TRACKING_URI, else `RUNS_DIR/mlflow.db` and `RUNS_DIR/mlartifacts`.

    A SQLite path becomes absolute: MLflow would look for it in the current directory. Nothing is opened yet.

    Raises:
        TrackingError: a URI that MLflow has no (longer a) store for.
    """
    runs_dir = runs_dir.expanduser().absolute()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_dir / 'mlflow.db'}"
    scheme = uri.split(":", 1)[0].split("+")[0] if ":" in uri else ""
    if scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///")).absolute()
        return Store(f"sqlite:///{path}", path.parent / "mlartifacts", path.with_name(path.name + ".lock"))
    if scheme in ("http", "https", "databricks"):
        return Store(uri, None, runs_dir / ".mlflow.lock")
    if scheme in ("postgresql", "mysql", "mssql"):
        return Store(uri, runs_dir / "mlartifacts", runs_dir / ".mlflow.lock")
    raise TrackingError(
        f"'{uri}' is not a tracking URI that can be used; give sqlite:////absolute/path/mlflow.db, "
        "http(s)://host:port or a postgresql/mysql/mssql URI (MLflow retired plain folders)"
    )


@dataclass
class SyncReport:
    """What a sync did, in runs; `problems` names what could not be mirrored, `left` what a deadline left for later.

    Runs that have not started are `waiting`: MLflow fixes a run's start when it is created.
    """

    uri: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    left: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.created} runs new, {self.updated} updated, {self.unchanged} unchanged in {self.uri}"
        text += f", {self.waiting} not started" if self.waiting else ""
        return text + (f", {self.left} left for the next sync" if self.left else "")


def prepare(store: Store, folder_name: str | None = None) -> None:
    """Create the database, once, before workers start, and with a name the experiment in it.

    MLflow's own creation of a SQLite database fails when several processes do it at once.

    Args:
        folder_name: the records' folder, <experiment>-<profile>.

    Raises:
        TrackingError: the tracker cannot be reached or written.
    """
    with _only_writer(store, wait_s=60.0), tracker_errors(store):
        client = _connect(store)
        if folder_name is None:
            client.search_experiments(max_results=1)
        else:
            create_experiment(client, store.artifact_root, folder_name.rpartition("-")[0] or folder_name)


def sync(
    folder: Path,
    store: Store,
    artifacts: Artifacts | None = None,
    *,
    alive: Callable[[Record], bool] | None = None,
    wait_s: float = 60.0,
    deadline_s: float | None = None,
) -> SyncReport:
    """Make MLflow show what the records of an experiment's folder (RUNS_DIR/<experiment>-<profile>) say.

    Args:
        artifacts: further files for runs that have an architecture.
        alive: whether a run recorded as running is at work; None looks at its lease.
        wait_s: how long to wait for another sync to end.
        deadline_s: leave what is not done by then for the next sync.

    Raises:
        TrackingError: no such folder, the tracker cannot be reached or written, or another sync did not end in time.
    """
    if not folder.is_dir():
        raise TrackingError(f"no experiment folder {folder}; `dasbench list` names the experiments that were run")
    records, problems = read_records(folder)
    report = SyncReport(store.shown, problems=problems)
    if not records:
        return report
    deadline = time.monotonic() + deadline_s if deadline_s is not None else float("inf")
    with _only_writer(store, wait_s), tracker_errors(store):
        client = _connect(store)
        mirror = MirroredExperiment.open(client, store.artifact_root, records)
        for position, record in enumerate(records):
            if time.monotonic() > deadline:
                report.left = len(records) - position
                break
            if record.info.status == "pending" and record.info.started is None:
                report.waiting += 1
                continue
            try:
                outcome = mirror.mirror(record, artifacts, alive or is_alive)
            except RecordError as error:
                report.problems.append(str(error))
                continue
            except ArtifactError as error:
                report.problems.append(f"{record.info.name}: {error}")
                outcome = "updated"
            setattr(report, outcome, getattr(report, outcome) + 1)
        mirror.finish(records, alive or is_alive)
    return report


def attach(folder: Path, store: Store, paths: list[Path]) -> None:
    """Attach files or folders (the report) to the parent run of an experiment's folder.

    Raises:
        TrackingError: no records to attach to, or the tracker cannot be reached or written.
    """
    records, _ = read_records(folder)
    if not records:
        raise TrackingError(f"no records in {folder}; `dasbench run` makes them")
    with _only_writer(store, wait_s=60.0), tracker_errors(store):
        client = _connect(store)
        parent = MirroredExperiment.open(client, store.artifact_root, records).parent
        for path in paths:
            (client.log_artifacts if path.is_dir() else client.log_artifact)(parent, str(path), "report")


def log_models(folder: Path, store: Store) -> int:
    """Attach the network of every finished training as an MLflow model, once each; returns how many were new.

    Raises:
        TrackingError: no records, or the tracker cannot be reached or written.
    """
    from bench.tracking_model import FOLDER, mlflow_model

    records, _ = read_records(folder)
    if not records:
        raise TrackingError(f"no records in {folder}; `dasbench run` makes them")
    new = 0
    with _only_writer(store, wait_s=60.0), tracker_errors(store):
        client = _connect(store)
        children = MirroredExperiment.open(client, store.artifact_root, records).children
        for record in records:
            run = children.get(view.key(record))
            if run is None or "dasbench.model" in run.data.tags:
                continue
            model = mlflow_model(record)
            if model is not None:
                client.log_artifacts(run.info.run_id, str(model), FOLDER)
                client.set_tag(run.info.run_id, "dasbench.model", record.info.signature)
                new += 1
    return new


class Mirror:
    """Mirrors beside a running experiment: never raises, warns once, leaves a failed tracker alone for a minute."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        artifacts: Artifacts | None = None,
        warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
    ) -> None:
        self._folder, self._store, self._artifacts, self._warn = folder, store, artifacts, warn
        self._said: set[str] = set()
        self._not_before = 0.0

    def update(self, deadline_s: float = 30.0, wait_s: float = 0.0) -> SyncReport | None:
        """Mirror what is new; None when it failed, now or less than a minute ago, or another process is at it."""
        if time.monotonic() < self._not_before:
            return None
        try:
            report = sync(self._folder, self._store, self._artifacts, wait_s=wait_s, deadline_s=deadline_s)
        except _BusyError:
            return None  # the other writer mirrors for us
        except Exception as error:  # whatever a tracker does, the runs go on
            self._not_before = time.monotonic() + _RETRY_S
            self._say("tracker", str(error))
            return None
        for problem in report.problems:
            self._say(problem, f"not mirrored: {problem}")
        return report

    def finish(self, within_s: float = 120.0) -> None:
        """The last update, which also waits for another writer and says what it had to leave."""
        report = self.update(deadline_s=within_s, wait_s=within_s)
        if report is not None and report.left:
            self._say("left", f"{report.left} run(s) are not in {self._store.shown} yet; `dasbench sync` adds them")

    def _say(self, about: str, text: str) -> None:
        if about not in self._said:
            self._warn(f"warning: {text}")
        self._said.add(about)


def follow(
    mirror: Mirror,
    finished: Callable[[], bool],
    interval_s: float = 10.0,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Mirror every `interval_s` seconds until `finished()`, and once more after it, for two minutes at most."""
    while not finished():
        mirror.update()
        sleep(interval_s)
    mirror.finish()


def is_alive(record: Record) -> bool:
    """Whether a run recorded as running is at work, as far as this machine can tell: silent for a minute and held by
    nobody, it is dead."""
    return time.time() - last_sign(record) < _QUIET_S or holder_of(record.path) is not None


class _BusyError(TrackingError):
    """Another process is syncing."""


def _connect(store: Store) -> Any:
    """A client to write with."""
    if store.artifact_root is not None:
        store.artifact_root.mkdir(parents=True, exist_ok=True)
    return client_of(store)


def client_of(store: Store) -> Any:
    """An MLflow client that fails soon; MLflow is imported here, as it takes a second and workers do not need it."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # importing sets them anew
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


@contextmanager
def tracker_errors(store: Store) -> Iterator[None]:
    """MLflow, SQLAlchemy, requests and the file system fail with dozens of types; a user needs one."""
    try:
        yield
    except (TrackingError, RecordError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        raise TrackingError(
            f"the tracker {store.shown} failed: {cause}. The records are complete without it; "
            "run `dasbench sync` when it works again, or choose another with --tracking-uri"
        ) from error


@contextmanager
def _only_writer(store: Store, wait_s: float) -> Iterator[None]:
    """Hold the store's lock; the kernel releases it when its holder ends, however it ends, so it cannot go stale."""
    try:
        store.lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(store.lock, "a")  # noqa: SIM115 (closed below, also when waiting fails)
    except OSError as error:
        raise TrackingError(
            f"cannot write {store.lock}: {error.strerror}; choose a store that can be written with --tracking-uri"
        ) from error
    with file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _BusyError(
                        f"another sync is writing to {store.shown} and holds {store.lock}; try again when it has ended"
                    ) from None
                time.sleep(0.05)
        yield
