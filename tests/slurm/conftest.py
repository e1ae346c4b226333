"""The cluster of the fault suite, and the uninterrupted local runs everything is compared with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.faults import cluster_is_ours, has_cluster
from tests.slurm.references import References
from tests.slurm.scenario import Scenario, profile, runs_of

LEASE_SECONDS = 6.0


@pytest.fixture(scope="session")
def cluster() -> None:
    if not has_cluster():
        pytest.skip("no SLURM here (no sbatch, or slurmctld does not answer); `make slurm-up` brings up a test cluster")


@pytest.fixture
def our_cluster(cluster: None) -> None:
    if not cluster_is_ours():
        pytest.skip("kills daemons or changes slurm.conf: only on the cluster of `make slurm-up`")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all test processes of this session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def references(shared: Path) -> Iterator[References]:
    found = References(shared / "references")
    yield found
    found.stop()


@pytest.fixture(scope="session")
def restarted(shared: Path) -> Path:
    """The file that says that the controller will not be stopped any more."""
    return shared / "restarted"


@pytest.fixture(scope="session")
def after_the_restart(request: pytest.FixtureRequest, cluster: None, restarted: Path) -> None:
    """When another process is about to restart the controller: wait for it, so that no job of ours ends meanwhile."""
    is_planned = any("controller_restarted" in item.name for item in request.session.items)
    deadline = time.monotonic() + 180
    while "PYTEST_XDIST_WORKER" in os.environ and is_planned and not restarted.exists():
        assert time.monotonic() < deadline, "the controller was not restarted; see the test that does it"
        time.sleep(0.2)


@pytest.fixture(scope="session", autouse=True)
def short_times() -> Iterator[None]:
    """Jobs inherit these: a checkpoint every second, and a lease that ends soon."""
    before = dict(os.environ)
    os.environ |= {
        "DASBENCH_CHECKPOINT_SECONDS": "1",
        "DASBENCH_LEASE_SECONDS": str(LEASE_SECONDS),
        "OMP_NUM_THREADS": "1",
    }
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def scenario(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scenario]:
    """A scenario of some runs of the fault experiment in a folder of its own.

    On the test cluster it keeps to node n2, as tests beside it break n1, unless it says `sbatch={}`.
    """
    monkeypatch.setattr("slurm.status.LEASE_SECONDS", LEASE_SECONDS)
    node: dict[str, Any] = {"sbatch": {"nodelist": "n2"}} if cluster_is_ours() else {}

    def make(profile_name: str, *rows: str, phases: tuple[str, ...] = ("search", "train"), **changes: Any) -> Scenario:
        planned = runs_of(profile_name, *rows, phases=phases)
        return Scenario(tmp_path / f"faults-{profile_name}", planned, profile(**node | changes))

    return make
