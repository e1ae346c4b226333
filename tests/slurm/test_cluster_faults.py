"""Faults of the cluster: the controller is away, a node dies or is cut off, a job is preempted.

They are injected one after the other, on node n1; the tests of the files beside this one keep to n2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.lease import holder_of
from slurm.submissions import read_submissions
from tests.slurm import faults
from tests.slurm.references import References
from tests.slurm.scenario import Scenario

pytestmark = pytest.mark.slurm
Make = Callable[..., Scenario]


@pytest.mark.smoke
def test_two_methods_and_two_seeds_with_the_controller_restarted(
    scenario: Make, references: References, restarted: Path
) -> None:
    half_a_node = {"cpus": 3, "sbatch": {}} if faults.cluster_is_ours() else {}
    whole = scenario("arrays", "darts", "pc_darts", **half_a_node)
    try:
        launched = whole.launch()
        if faults.cluster_is_ours():
            restart_the_controller(whole)
    finally:
        restarted.touch()
    references.begin("arrays", "darts", "pc_darts")
    assert [(array.phase, len(array.tasks)) for array in launched.arrays] == [("search", 4), ("train", 4)]
    whole.until_done()
    assert whole.launch().arrays == []
    whole.check_equal(references)


def restart_the_controller(own: Scenario) -> None:
    """While runs are running on both nodes; status says that SLURM is silent, and knows what their hearts tell."""
    own.watch(lambda now: {run.note for run in now.runs if run.state == "running"} == {"on n1", "on n2"})
    with faults.controller_down():
        own.may_be |= {"unknown"}
        now = own.look()
        assert "SLURM does not answer" in now.problems[0]
        assert now.count("running") > 0
        own.may_be -= {"unknown"}


@pytest.mark.parametrize("user_signal", [False, True])
def test_preemption(user_signal: bool, our_cluster: None, scenario: Make, references: References) -> None:
    faults.set_user_signal(user_signal)
    try:
        own = scenario("long", "DARTS_V2", sbatch={"nodelist": "n1"})
        (job,) = own.launch().jobs
        own.until_checkpoint()
        faults.preempt("n1")
        own.until_done()
        assert faults.restarts(job) >= 1
        assert f"job {job}: {'SIGUSR2' if user_signal else 'SIGTERM'}; stopping" in own.logs()
        own.check_equal(references)
    finally:
        faults.set_user_signal(False)


@pytest.mark.smoke
def test_node_crash(our_cluster: None, scenario: Make, references: References) -> None:
    own = scenario("long", "darts", phases=("search",), sbatch={})
    (job,) = own.launch().jobs
    own.until_checkpoint()
    assert faults.node_of(job) == "n1"
    try:
        faults.crash("n1")
        own.until_done()
    finally:
        faults.repair()
    assert faults.restarts(job) == 1
    assert {array.job for submission in read_submissions(own.folder) for array in submission.arrays} == {job}
    own.check_equal(references)


def test_split_brain(our_cluster: None, scenario: Make, references: References) -> None:
    """SLURM gives up a node whose job lives on, and starts a second copy: it waits, and nothing is done twice."""
    own = scenario("long", "DARTS_V2", sbatch={})
    (job,) = own.launch().jobs
    path = own.until_checkpoint().runs[0].record.path
    first = holder_of(path)
    assert first is not None
    assert first.host == "n1"
    try:
        faults.cut_off("n1")
        own.watch(lambda now: faults.restarts(job) == 1 and faults.state_of(job) == "COMPLETED")
    finally:
        faults.repair()
    assert faults.node_of(job) == "n2"
    assert [file.name for file in (path / ".lease").glob("*.json")] == ["000001.json"]  # the second copy held nothing
    own.check_equal(references)
