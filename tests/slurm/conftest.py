"""The cluster of the fault suite, and the uninterrupted local runs everything is compared with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records import RunDirectory, RunInfo
from tests.bench.test_resume import outcome
from tests.slurm.scenario import Scenario, cluster_is_ours, has_cluster, profile, runs_of


class References:
    """Uninterrupted local runs, done one after the other beside the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ready = folder, dict[str, threading.Event]()
        self.stopped = False
        wanted = [("arrays", ()), ("long", ("DARTS_V2",)), ("long", ("darts",)), ("limit", ("PC_DARTS_cifar",))]
        self.planned = [info for name, rows in wanted for info in runs_of(name, *rows)]
        self.planned = [info for info in self.planned if info.profile != "limit" or info.label == "PC_DARTS_cifar"]
        for info in self.planned:
            RunDirectory(self.path(info)).create(info)
            self.ready[info.signature] = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def path(self, info: RunInfo) -> Path:
        return self.folder / f"faults-{info.profile}" / info.name

    def _work(self) -> None:
        for info in self.planned:
            if not self.stopped:
                subprocess.run([sys.executable, "-W", "ignore", "-m", "bench.run", str(self.path(info))], check=False)
            self.ready[info.signature].set()

    def __call__(self, info: RunInfo) -> dict[str, Any]:
        assert self.ready[info.signature].wait(300)
        return outcome(RunDirectory(self.path(info)))


@pytest.fixture(scope="session")
def cluster() -> None:
    if not has_cluster():
        pytest.skip("no SLURM here (no sbatch, or slurmctld does not answer); `make slurm-up` brings up a test cluster")


@pytest.fixture
def our_cluster(cluster: None) -> None:
    if not cluster_is_ours():
        pytest.skip("kills daemons or changes slurm.conf: only on the cluster of `make slurm-up`")


@pytest.fixture(scope="session")
def references(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[References]:
    found = References(tmp_path_factory.mktemp("references"))
    yield found
    found.stopped = True


@pytest.fixture(scope="session", autouse=True)
def short_times() -> Iterator[None]:
    """Jobs inherit these: a checkpoint every second, and a lease that ends soon."""
    before = dict(os.environ)
    os.environ |= {"DASBENCH_CHECKPOINT_SECONDS": "1", "DASBENCH_LEASE_SECONDS": "6", "OMP_NUM_THREADS": "1"}
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def scenario(cluster: None, tmp_path: Path) -> Callable[..., Scenario]:
    """A scenario of some runs of the fault experiment in a folder of its own."""

    def make(profile_name: str, *rows: str, phases: tuple[str, ...] = ("search", "train"), **changes: Any) -> Scenario:
        planned = runs_of(profile_name, *rows, phases=phases)
        return Scenario(tmp_path / f"faults-{profile_name}", planned, profile(**changes))

    return make
