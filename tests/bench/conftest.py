"""A tiny experiment, its planned runs, and how to do one of them in this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
import torch

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import execute
from bench.run.processes import Order
from bench.tracking.mirror import open_store, prepare

TINY = Path(__file__).parent.parent / "experiments" / "tiny.yaml"


class Forked:
    """Stands for `bench.run.warm.Forks`: runs are forks of the tests' own process, which has imported everything."""

    def ready(self) -> bool:
        return True

    def start(self, order: Order, output: IO[bytes]) -> ForkedRun:
        pid = os.fork()
        if pid == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(execute(order.path, order.device))
        return ForkedRun(pid)

    def close(self) -> None: ...


@dataclass
class ForkedRun:
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        os.kill(self.pid, sig)


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
