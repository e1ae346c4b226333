"""Write records as MLflow runs, through an MLflow client. Who may write, and when, is `bench.tracking`'s concern."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tracking_view as view
from bench.records import Record
from methods.architecture import JSON_NAME

Artifacts = Callable[[Record], Mapping[str, Path]]
"""Further files for a run that has an architecture (drawings, say), by the artifact folder they shall lie in."""

_METRICS_AT_ONCE = 1000  # MLflow's limits for one request
_NAMES_AT_ONCE = 100
_DESCRIPTION = (
    "One parent run for each profile; its nested runs are searches (`phase = 'search'`), transforms and retrainings "
    "(`phase = 'train'`). Filter for example with `tags.method = 'darts' and tags.phase = 'train'`; compare "
    "`result/test_accuracy` with `cost/params`. Metrics by epoch are under `search/` and `train/`, a method's own "
    "values under its name. This is a copy: the truth is in each run's `run_directory`, and `dasbench sync` rebuilds "
    "this view."
)


class ArtifactError(RuntimeError):
    """A file that should be attached could not be made."""


def create_experiment(client: Any, artifact_root: Path | None, name: str) -> str:
    """The id of the MLflow experiment of that name, made or restored if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifact_root is None else (artifact_root / name).as_uri()
        return client.create_experiment(name, artifact_location=location, tags={"mlflow.note.content": _DESCRIPTION})
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


@dataclass
class MirroredExperiment:
    """The parent run and the nested runs that MLflow holds already, by key."""

    client: Any
    experiment_id: str
    parent: str
    children: dict[str, Any]

    @classmethod
    def open(cls, client: Any, artifact_root: Path | None, record: Record) -> MirroredExperiment:
        info = record.info
        experiment_id = create_experiment(client, artifact_root, info.experiment)
        group = f"{info.experiment}-{info.profile}"
        found = _search(client, experiment_id, f"tags.`dasbench.group` = '{group}'")
        parents = [run.info.run_id for run in found if "dasbench.key" not in run.data.tags]
        children = {run.data.tags["dasbench.key"]: run for run in found if "dasbench.key" in run.data.tags}
        if parents:
            return cls(client, experiment_id, parents[0], children)
        tags = {"dasbench.group": group, "experiment": info.experiment, "profile": info.profile, "phase": "all"}
        run = client.create_run(experiment_id, tags=tags, run_name=f"{info.experiment} {info.profile}")
        return cls(client, experiment_id, run.info.run_id, children)

    def mirror(self, record: Record, artifacts: Artifacts | None, alive: Callable[[Record], bool]) -> str:
        """Bring one nested run up to date; returns "created", "updated" or "unchanged"."""
        lines = record.directory.read_metrics()
        status = _shown_status(record, alive)
        architecture = _read_bytes(record.path / JSON_NAME)
        state = view.state(record, status, lines, architecture)
        run = self.children.get(view.key(record))
        if run is not None and run.data.tags.get("dasbench.state") == state:
            return "unchanged"
        logged = _logged_lines(run.data.tags, lines) if run is not None else None
        outcome = "created" if run is None else "updated"
        if run is None or logged is None:  # new, or its metrics were taken back (a resume from an older checkpoint)
            run, logged = self._create(record), 0
        run_id = run.info.run_id
        if "dasbench.state" not in run.data.tags:  # MLflow refuses to change a param, but takes the same value again
            _log_params(self.client, run_id, view.params(record.info.config))
        _log_tags(self.client, run_id, view.tags(record))
        if record.info.error is None and "error" in run.data.tags:
            self.client.delete_tag(run_id, "error")
        self._log_epochs(run_id, record.info.phase, lines, logged)
        _log_metrics(self.client, run_id, view.result_metrics(record))
        self._log_status(run_id, record, status)
        self._log_artifacts(run, record, architecture, artifacts)
        self.client.set_tag(run_id, "dasbench.state", state)  # last: an interrupted sync does it all again
        return outcome

    def _create(self, record: Record) -> Any:
        """A new nested run, in place of any that stands for the same run directory."""
        directory = str(record.path.absolute())
        for key, run in list(self.children.items()):
            if key == view.key(record) or run.data.tags.get("run_directory") == directory:
                self.client.delete_run(run.info.run_id)
                del self.children[key]
        identity = {
            "dasbench.group": f"{record.info.experiment}-{record.info.profile}",
            "dasbench.key": view.key(record),
            "mlflow.parentRunId": self.parent,
        }
        start = round((record.info.started or record.info.created) * 1000)
        run = self.client.create_run(
            self.experiment_id, start_time=start, tags=identity, run_name=view.child_name(record)
        )
        self.children[view.key(record)] = run
        return run

    def _log_epochs(self, run_id: str, phase: str, lines: list[dict[str, Any]], logged: int) -> None:
        new = [value for line in lines[logged:] for value in view.epoch_metrics(phase, line)]
        if new:
            # An interruption between these two requests is harmless: MLflow keeps a metric of the same name, step,
            # time and value once.
            _log_metrics(self.client, run_id, new)
        if len(lines) != logged:
            self.client.set_tag(run_id, "dasbench.lines", f"{len(lines)}:{view.digest(lines)}")

    def _log_status(self, run_id: str, record: Record, status: str) -> None:
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(run_id, status=status)
            return
        end = record.info.finished or last_sign(record)
        self.client.set_terminated(run_id, status=status, end_time=round(end * 1000))

    def _log_artifacts(self, run: Any, record: Record, architecture: bytes, artifacts: Artifacts | None) -> None:
        """Attach the architecture, its drawings and the result, where they changed."""
        run_id, wanted = run.info.run_id, view.digest([architecture, record.result, artifacts is not None])
        if run.data.tags.get("dasbench.artifacts") == wanted:
            return
        for name in (JSON_NAME, "result.json"):
            if (record.path / name).exists():
                self.client.log_artifact(run_id, str(record.path / name))
        if artifacts is not None and architecture:
            try:
                files = artifacts(record)
            except Exception as error:  # a drawing that fails must not keep the other runs out
                raise ArtifactError(f"cannot draw its architecture: {error}") from error
            for folder, path in files.items():
                self.client.log_artifact(run_id, str(path), folder or None)
        self.client.set_tag(run_id, "dasbench.artifacts", wanted)

    def finish(self, records: list[Record], alive: Callable[[Record], bool]) -> None:
        """The parent's status: at work while a run is, failed when one failed, finished when all are."""
        shown = {_shown_status(record, alive) for record in records}
        order = ("RUNNING", "FAILED", "KILLED", "SCHEDULED", "FINISHED")
        status = next(name for name in order if name in shown)
        if self.client.get_run(self.parent).info.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(self.parent, status=status)
        else:
            self.client.set_terminated(self.parent, status=status)


def _shown_status(record: Record, alive: Callable[[Record], bool]) -> str:
    status = view.STATUS[record.info.status]
    return "KILLED" if status == "RUNNING" and not alive(record) else status


def _logged_lines(tags: Mapping[str, str], lines: list[dict[str, Any]]) -> int | None:
    """How many lines MLflow holds; None when they are not the first lines of the record any more."""
    count, _, digest = tags.get("dasbench.lines", "0:").partition(":")
    logged = int(count)
    return logged if logged == 0 or view.digest(lines[:logged]) == digest else None


def last_sign(record: Record) -> float:
    """When the record was last written to, in seconds since the epoch."""
    files = [record.path / "metrics.jsonl", record.path / "run.json"]
    return max((file.stat().st_mtime for file in files if file.exists()), default=record.info.created)


def _read_bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _search(client: Any, experiment_id: str, filter_string: str) -> list[Any]:
    runs, token = [], None
    while True:
        page = client.search_runs([experiment_id], filter_string, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _log_metrics(client: Any, run_id: str, values: list[view.Value]) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(*value) for value in values]
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_AT_ONCE])


def _log_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _log_params(client: Any, run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    entries = [Param(name, value) for name, value in params.items()]
    for start in range(0, len(entries), _NAMES_AT_ONCE):
        client.log_batch(run_id, params=entries[start : start + _NAMES_AT_ONCE])
