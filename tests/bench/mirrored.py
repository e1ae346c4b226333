"""Run records to be mirrored, and what a real MLflow store on disk then holds of them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.records.directory import RunDirectory, RunInfo
from bench.tracking.mirror import Store, SyncReport
from methods.architecture import Architecture

GENOTYPE = {"normal": [["skip_connect", 0]], "reduce": []}


def add_run(
    runs_dir: Path,
    phase: str = "search",
    seed: int = 0,
    epochs: int = 3,
    status: str = "done",
    experiment: str = "tiny",
    also: Sequence[str] = (),
) -> RunDirectory:
    info = RunInfo(
        experiment=experiment,
        profile="quick",
        label="darts",
        method="darts",
        phase=phase,
        dataset="digits",
        search_seed=seed,
        retrain_seed=None if phase == "search" else 1,
        signature=f"{phase}{seed}abcdef0123456789",
        config={"method": {"channels": 4, "arch_lr": 3e-4}, "augmentation": "crop", "empty": None},
        recipe={} if phase == "search" else {"name": "darts-cifar", "hash": "beef"},
        environment={"device": "CPU model", "host": socket.gethostname(), "commit": "c0ffee", "dirty": False},
        status=status,
        also=list(also),
        created=1_700_000_000.0 + seed,
        started=1_700_000_001.0,
        finished=1_700_000_100.0 if status == "done" else None,
    )
    directory = RunDirectory(runs_dir / "tiny-quick" / info.name)
    directory.create(info)
    for epoch in range(epochs):
        add_epoch(directory, epoch)
    if status == "done":
        Architecture("cell", GENOTYPE).save(directory.path)
        metrics = {"test_accuracy": 91.5, "test_error": 8.5, "missing": None}
        metrics = metrics if phase == "train" else {"valid_accuracy": 80.0}
        result = {"phase": phase, "metrics": metrics, "costs": {"params": 1234}, "epochs": epochs}
        directory.write_result({**result, "architecture": "0123456789abcdef"})
    return directory


def add_epoch(directory: RunDirectory, epoch: int) -> None:
    values = {"train/loss": 1.0 / (epoch + 1), "lr": 0.1, "mgas/ratio": [0.5, 0.25], "arch/skips_normal": epoch}
    directory.append_metrics(epoch, epoch * 10, values, wall_s=epoch + 0.5, device_s=epoch + 0.5)


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def all_runs(store: Store) -> list[Any]:
    tracker = client(store)
    return list(tracker.search_runs([tracker.get_experiment_by_name("tiny").experiment_id]))


def children(store: Store) -> dict[str, Any]:
    return {run.info.run_name: run for run in all_runs(store) if "mlflow.parentRunId" in run.data.tags}


def history(store: Store, run: Any, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client(store).get_metric_history(run.info.run_id, name)]


def counts(report: SyncReport) -> tuple[int, int, int]:
    return report.created, report.updated, report.unchanged
