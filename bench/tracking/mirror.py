"""Mirror records into MLflow. The records are the truth; MLflow is a view that can be deleted and rebuilt from them.

One parent run for each experiment and profile, below it one nested run for each run directory. Mirroring twice adds
nothing; a run that went on gets its new epochs only. Nothing a tracker does (down, slow, full) can stop a run: only
`sync`, which a user asked for, raises; `Mirror` warns once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.records.directory import Record, RecordError, read_records
from bench.records.lease import holder_of
from bench.tracking import view
from bench.tracking.artifacts import ArtifactError, Artifacts
from bench.tracking.runs import MirroredExperiment, create_experiment, last_sign
from bench.tracking.store import BusyError, Store, TrackingError, connect, only_writer, open_store, tracker_errors
from methods.architecture import ArchitectureError

__all__ = [
    "Mirror",
    "Store",
    "SyncReport",
    "TrackingError",
    "attach",
    "follow",
    "log_models",
    "open_store",
    "prepare",
    "sync",
]

_QUIET_S = 60.0  # a "running" run silent for this long is looked at more closely
_RETRY_S = 60.0


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


def prepare(store: Store, experiment: str | None = None) -> None:
    """Create the database, once, before workers start, and the experiment of that name in it.

    MLflow's own creation of a SQLite database fails when several processes do it at once.

    Raises:
        TrackingError: the tracker cannot be reached or written.
    """
    with only_writer(store, wait_s=60.0), tracker_errors(store):
        client = connect(store)
        if experiment is None:
            client.search_experiments(max_results=1)
        else:
            create_experiment(client, store.artifact_root, experiment)


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
    with only_writer(store, wait_s), tracker_errors(store):
        mirror = MirroredExperiment(store, records, alive or is_alive, artifacts)
        try:
            _mirror_all(mirror, report, deadline)
        finally:  # also when it is stopped: what was kept is added
            mirror.flush()
        mirror.finish()
    return report


def _mirror_all(mirror: MirroredExperiment, report: SyncReport, deadline: float) -> None:
    """Every record of an experiment, until the deadline; one that is wrong is named and the others go on."""
    for position, record in enumerate(mirror.records):
        if time.monotonic() > deadline:
            report.left = len(mirror.records) - position
            return
        if record.info.status == "pending" and record.info.started is None:
            report.waiting += 1
            continue
        try:
            outcome = mirror.mirror(record)
        except RecordError as error:
            report.problems.append(str(error))
            continue
        except ArtifactError as error:
            report.problems.append(f"{record.info.name}: {error}")
            outcome = "updated"
        setattr(report, outcome, getattr(report, outcome) + 1)


def attach(folder: Path, store: Store, paths: list[Path]) -> None:
    """Attach files or folders (the report) to the parent run of an experiment's folder.

    Raises:
        TrackingError: no records to attach to, or the tracker cannot be reached or written.
    """
    records, _ = read_records(folder)
    if not records:
        raise TrackingError(f"no records in {folder}; `dasbench run` makes them")
    with only_writer(store, wait_s=60.0), tracker_errors(store):
        mirror = MirroredExperiment(store, records, is_alive)
        for path in paths:
            log = mirror.client.log_artifacts if path.is_dir() else mirror.client.log_artifact
            log(mirror.parent, str(path), "report")


def log_models(folder: Path, store: Store) -> tuple[int, list[str]]:
    """Attach the network of every finished training as an MLflow model, once each.

    Returns:
        how many were new, and one message for each that cannot be logged.

    Raises:
        TrackingError: no records, or the tracker cannot be reached or written.
    """
    from bench.tracking.model import FOLDER, mlflow_model

    records, _ = read_records(folder)
    if not records:
        raise TrackingError(f"no records in {folder}; `dasbench run` makes them")
    new, problems = 0, []
    with only_writer(store, wait_s=60.0), tracker_errors(store):
        mirror = MirroredExperiment(store, records, is_alive)
        for record in records:
            run = mirror.held.runs.get(view.key(record))
            if run is None or "dasbench.model" in run.tags:
                continue
            try:
                model = mlflow_model(record)
            except (RecordError, ArchitectureError) as error:
                problems.append(f"{record.info.name}: no model is logged, because {error}")
                continue
            if model is not None:
                mirror.client.log_artifacts(run.run_id, str(model), FOLDER)
                mirror.client.set_tag(run.run_id, "dasbench.model", record.info.signature)
                new += 1
    return new, problems


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
        except BusyError:
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
