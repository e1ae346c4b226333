"""What a fault scenario needs: a launch, and a watch that checks that status tells the truth until all is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunInfo
from slurm.cluster import Cluster, load_cluster
from slurm.launch import Launch, launch
from slurm.status import RunStatus, Status, status
from tests.bench.test_resume import outcome
from tests.slurm.faults import asking

HERE = Path(__file__).parent
EXPERIMENT = HERE / "faults.yaml"


def profile(**changes: Any) -> Cluster:
    return replace(load_cluster(os.environ.get("DASBENCH_TEST_CLUSTER", str(HERE / "cluster.yaml"))), **changes)


def runs_of(profile_name: str, *rows: str, phases: tuple[str, ...] = ("search", "transform", "train")) -> list[RunInfo]:
    planned = plan(load_experiment(str(EXPERIMENT)), profile_name, rows or None)
    return [info for info in planned if info.phase in phases]


@dataclass
class Scenario:
    """An experiment's folder on the cluster, watched from its launch to its end.

    `watch` looks at the status again and again and checks every answer against what a test knows: a run with a result
    is done and stays done; a run without one is never called done; and as nothing here is beyond SLURM's own rerun,
    none may be called failed or lost, unless the test says so.
    """

    folder: Path
    planned: list[RunInfo]
    cluster: Cluster
    may_be: frozenset[str] = frozenset({"pending", "running", "done"})
    pause: float = 0.5
    history: list[dict[str, str]] = field(default_factory=list)
    finished: dict[str, int] = field(default_factory=dict)

    @asking()
    def launch(self) -> Launch:
        return launch(self.folder, self.planned, self.cluster)

    @asking()
    def look(self) -> Status:
        before = self._results()
        now = status(self.folder)
        after = self._results()
        states = {run.record.info.name: run.state for run in now.runs}
        for name, state in states.items():
            assert state in self.may_be, (
                f"{name} is called {state}: {[r for r in now.runs if r.record.info.name == name]}"
            )
            assert state == "done" or name not in before, f"{name} has a result and is called {state}"
            assert state != "done" or name in after, f"{name} has no result and is called done"
        for name, written in after.items():
            assert self.finished.setdefault(name, written) == written, f"{name} was done twice"
        self.history.append(states)
        return now

    def watch(self, until: Callable[[Status], bool], seconds: float = 180.0) -> Status:
        deadline = time.monotonic() + seconds
        while True:
            now = self.look()
            if until(now):
                return now
            assert time.monotonic() < deadline, f"after {seconds} s: {self.history[-1]}\n{self.logs()[-8000:]}"
            time.sleep(self.pause)

    def until_done(self, seconds: float = 240.0) -> None:
        self.watch(lambda now: now.count("done") == len(self.planned), seconds)

    def until_checkpoint(self) -> Status:
        """Until a run is running and has a checkpoint to lose."""
        return self.watch(lambda now: any(now_running(run) and checkpoints(run.record.path) for run in now.runs))

    def logs(self) -> str:
        files = sorted((self.folder / "slurm" / "jobs").glob("*/*log.*"))
        return "\n".join(f"--- {file}\n{file.read_text()}" for file in files)

    def check_equal(self, reference: Callable[[RunInfo], dict[str, Any]]) -> None:
        """No run lost, none done twice, and every one with the bits of an uninterrupted local run."""
        records = {run.record.info.name: run.record for run in self.look().runs}
        assert sorted(records) == sorted(info.name for info in self.planned)
        for info in self.planned:
            assert outcome(records[info.name].directory) == reference(info), f"{info.name} has other bits"

    def _results(self) -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in self.folder.glob("*/result.json")}


def now_running(run: RunStatus) -> bool:
    return run.state == "running" and run.progress is not None


def checkpoints(path: Path) -> list[Path]:
    return list((path / "checkpoints").glob("epoch-*.pt"))
