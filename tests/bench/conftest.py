"""A tiny experiment, its planned runs, and how to do one of them in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.tracking.mirror import open_store, prepare

TINY = Path(__file__).parent.parent / "experiments" / "tiny.yaml"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_runs(tmp_path: Path) -> Callable[..., list[RunDirectory]]:
    """Run directories of the tiny experiment's plan for some rows, made below a named folder."""

    def make(*rows: str, folder: str = "runs") -> list[RunDirectory]:
        made = []
        for info in plan(load_experiment(str(TINY)), "tiny", rows or None, [0]):
            directory = RunDirectory(tmp_path / folder / "tiny-tiny" / info.name)
            directory.create(info)
            made.append(directory)
        return made

    return make


@pytest.fixture
def planned() -> list[RunInfo]:
    return plan(load_experiment(str(TINY)), "tiny")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database to copy: making one takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("store")
    prepare(open_store(folder, f"sqlite:///{folder}/mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture
def runs_dir(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path
