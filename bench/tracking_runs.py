"""Write records as MLflow runs, through an MLflow client. Who may write, and when, is `bench.tracking`'s concern."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tracking_view as view
from bench.records import Record, RunInfo
from methods.architecture import JSON_NAME

Artifacts = Callable[[Record], Mapping[str, Path]]
"""Further files for a run that has an architecture (drawings, say), by the name they shall have among its artifacts."""

_METRICS_AT_ONCE = 800  # with params and tags below MLflow's limit of 1000 entries for one request
_NAMES_AT_ONCE = 100
_DESCRIPTION = (
    "One parent run for each profile; its nested runs are searches (`phase = 'search'`), transforms and retrainings "
    "(`phase = 'train'`). Filter for example with `tags.method = 'darts' and tags.phase = 'train'`; compare "
    "`result/test_accuracy` with `cost/params`. Metrics by epoch are under `search/` and `train/`, a method's own "
    "values under its name. This is a copy: the truth is in each run's `run_directory`, and `dasbench sync` rebuilds "
    "this view."
)

_EXPERIMENT_TAGS = {
    "mlflow.note.content": _DESCRIPTION,
    "mlflow.experimentKind": "custom_model_development",  # the page opens on runs, not on language-model traces
}


class ArtifactError(RuntimeError):
    """A file that should be attached could not be made."""


def create_experiment(client: Any, artifact_root: Path | None, name: str) -> str:
    """The id of the MLflow experiment of that name, made or restored if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifact_root is None else (artifact_root / name).as_uri()
        return client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)
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
    def open(cls, client: Any, artifact_root: Path | None, records: list[Record]) -> MirroredExperiment:
        info = records[0].info
        experiment_id = create_experiment(client, artifact_root, info.experiment)
        parents, children = find_runs(client, experiment_id, info)
        if parents:
            return cls(client, experiment_id, parents[0], children)
        tags = {"dasbench.group": _group(info), "experiment": info.experiment, "profile": info.profile, "phase": "all"}
        start = round(min(record.info.created for record in records) * 1000)
        run = client.create_run(experiment_id, start, tags, run_name=f"{info.experiment} {info.profile}")
        return cls(client, experiment_id, run.info.run_id, children)

    def mirror(self, record: Record, artifacts: Artifacts | None, alive: Callable[[Record], bool]) -> str:
        """Bring one nested run up to date; returns "created", "updated" or "unchanged"."""
        lines = record.directory.read_metrics()
        status = _shown_status(record, alive)
        architecture = _read_bytes(record.path / JSON_NAME)
        state = view.state(record, status, lines, architecture)
        run = self.children.get(view.key(record))
        if _state_shown(run) == state:
            return "unchanged"
        logged = _logged_lines(run.data.tags, lines) if run is not None else None
        outcome = "created" if run is None else "updated"
        if run is None or logged is None:  # new, or its metrics were taken back (a resume from an older checkpoint)
            run, logged = self._create(record), 0
        run_id = run.info.run_id
        # An interruption anywhere is harmless: MLflow refuses to change a param but takes the same value again, and
        # keeps a metric of the same name, step, time and value once.
        params = {} if "dasbench.state" in run.data.tags else view.params(record.info.config)
        metrics = [value for line in lines[logged:] for value in view.epoch_metrics(record.info.phase, line)]
        metrics += view.result_metrics(record)
        tags = view.tags(record) | {"dasbench.lines": f"{len(lines)}:{view.digest(lines)}"}
        _log(self.client, run_id, metrics, params, tags)
        if record.info.error is None and "error" in run.data.tags:
            self.client.delete_tag(run_id, "error")
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
            "dasbench.group": _group(record.info),
            "dasbench.key": view.key(record),
            "mlflow.parentRunId": self.parent,
        }
        start = round((record.info.started or record.info.created) * 1000)
        run = self.client.create_run(
            self.experiment_id, start_time=start, tags=identity, run_name=view.child_name(record)
        )
        self.children[view.key(record)] = run
        return run

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
            for name, path in files.items():
                _log_file(self.client, run_id, path, Path(name))
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
            end = max(record.info.finished or last_sign(record) for record in records)
            self.client.set_terminated(self.parent, status=status, end_time=round(end * 1000))


def find_runs(client: Any, experiment_id: str, info: RunInfo) -> tuple[list[str], dict[str, Any]]:
    """What MLflow holds of an experiment and profile: the ids of parent runs, and the nested runs by key."""
    found = _search(client, experiment_id, f"tags.`dasbench.group` = '{_group(info)}'")
    parents = [run.info.run_id for run in found if "dasbench.key" not in run.data.tags]
    return parents, {run.data.tags["dasbench.key"]: run for run in found if "dasbench.key" in run.data.tags}


def is_up_to_date(run: Any, record: Record, alive: Callable[[Record], bool]) -> bool:
    """Whether a nested run shows all that the record says: mirroring it again would change nothing.

    Raises:
        RecordError: the record's metrics are damaged.
    """
    lines, architecture = record.directory.read_metrics(), _read_bytes(record.path / JSON_NAME)
    return bool(_state_shown(run) == view.state(record, _shown_status(record, alive), lines, architecture))


def _state_shown(run: Any) -> str | None:
    return run.data.tags.get("dasbench.state") if run is not None else None


def _group(info: RunInfo) -> str:
    return f"{info.experiment}-{info.profile}"


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


def _log_file(client: Any, run_id: str, path: Path, name: Path) -> None:
    """Attach a file under another name than its own, if need be."""
    folder = None if name.parent == Path() else str(name.parent)
    if path.name == name.name:
        client.log_artifact(run_id, str(path), folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        client.log_artifact(run_id, shutil.copy(path, Path(temporary) / name.name), folder)
