"""Two hundred runs as one array of as many tasks, on fake GPUs: all finish, once, and MLflow holds them all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.tracking import mirror as tracking
from bench.tracking.check import Comparison, compare
from slurm.status import status
from tests.slurm.faults import cluster_is_ours
from tests.slurm.scenario import EXPERIMENT, Scenario, profile

pytestmark = [pytest.mark.slurm, pytest.mark.many]
RUNS = 200


def test_two_hundred_tasks(cluster: None, tmp_path: Path) -> None:
    planned = plan(load_experiment(str(EXPERIMENT)), "many", ["DARTS_V2"], retrain_seeds=range(RUNS))
    cluster_profile = profile(gpus=int(cluster_is_ours()), array_parallelism=RUNS)
    own = Scenario(tmp_path / "faults-many", planned, cluster_profile, pause=5.0)
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds[name] = time.monotonic() - began

    with timed("all done"):
        with timed("launch"):
            (array,) = own.launch().arrays
        assert (len(array.runs), len(array.tasks)) == (RUNS, RUNS)
        own.watch(lambda now: now.count("done") >= RUNS // 2, 3600)
        with timed("status while they run"):
            own.look()
        own.until_done(3600)
    with timed("status"):
        assert status(own.folder).count("done") == RUNS
    store = tracking.open_store(tmp_path)
    with timed("sync"):
        report = tracking.sync(own.folder, store)
    assert (report.created, report.problems, report.left) == (RUNS, [], 0)
    with timed("is MLflow up to date"):
        assert compare(own.folder, store) == Comparison(RUNS)
    print(f"{RUNS} tasks of an array: " + ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items()))
