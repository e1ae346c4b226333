"""Two hundred runs as one array on fake GPUs: all finish, once, and MLflow holds them all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench import tracking
from bench.experiment import load_experiment, plan
from slurm.status import status
from tests.slurm.faults import cluster_is_ours
from tests.slurm.scenario import EXPERIMENT, Scenario, profile

pytestmark = [pytest.mark.slurm, pytest.mark.many]
RUNS, PER_TASK = 200, 25


def test_two_hundred_runs(cluster: None, tmp_path: Path) -> None:
    planned = plan(load_experiment(str(EXPERIMENT)), "many", ["DARTS_V2"], retrain_seeds=range(RUNS))
    gpus = int(cluster_is_ours())
    own = Scenario(tmp_path / "faults-many", planned, profile(runs_per_task=PER_TASK, gpus=gpus))
    seconds = {}
    began = time.monotonic()
    (array,) = own.launch().arrays
    seconds["launch"] = time.monotonic() - began
    assert (len(array.runs), len(array.tasks)) == (RUNS, RUNS // PER_TASK)
    own.until_done(900)
    seconds["all done"] = time.monotonic() - began
    began = time.monotonic()
    assert status(own.folder).count("done") == RUNS
    seconds["status"] = time.monotonic() - began
    began = time.monotonic()
    report = tracking.sync(own.folder, tracking.open_store(tmp_path))
    seconds["sync"] = time.monotonic() - began
    assert (report.created, report.problems, report.left) == (RUNS, [], 0)
    print(f"{RUNS} runs in {len(array.tasks)} tasks: " + ", ".join(f"{name} {s:.1f} s" for name, s in seconds.items()))
