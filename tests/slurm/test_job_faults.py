"""What becomes of a job: its time is over, a person requeues or cancels it, its processes are told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from bench.records.lease import holder_of
from slurm.launch import cancel
from slurm.status import Status
from tests.slurm import faults
from tests.slurm.references import References
from tests.slurm.scenario import Scenario, checkpoints

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("after_the_restart")]
Make = Callable[..., Scenario]


def test_a_time_limit(scenario: Make, references: References) -> None:
    """SLURM looks at limits twice a minute. So that a short run outlasts two, it stands still until it is warned."""
    ours = faults.cluster_is_ours()
    own = scenario("long" if ours else "limit", "DARTS_V2", time="1min", signal_seconds=40)
    (job,) = own.launch().jobs
    for times in (1, 2) if ours else ():
        stand_still_until_warned(own, job, times)
    own.until_done(300)
    assert faults.restarts(job) >= (2 if ours else 1)
    assert own.logs().count(f"job {job} goes back into the queue") == faults.restarts(job)
    own.check_equal(references)


def stand_still_until_warned(own: Scenario, job: str, times: int) -> None:
    """Stop the process of the only run until SLURM has signalled it for the nth time, unless that was faster."""
    path = own.folder / own.planned[0].name

    def warned() -> bool:
        return own.logs().count(f"job {job}: SIGUSR2; stopping after this step") >= times

    def at_work(now: Status) -> bool:
        return faults.restarts(job) == times - 1 and now.runs[0].note == "on n2" and bool(checkpoints(path))

    own.watch(lambda now: warned() or at_work(now))
    holder = holder_of(path)
    if holder is not None and not warned():
        os.kill(holder.pid, signal.SIGSTOP)
        own.watch(lambda now: warned() or faults.is_pending(holder.pid, signal.SIGUSR2))
        os.kill(holder.pid, signal.SIGCONT)
        own.watch(lambda now: warned())


@pytest.mark.smoke
def test_requeue_by_hand(scenario: Make, references: References) -> None:
    own = scenario("long", "DARTS_V2")
    (job,) = own.launch().jobs
    own.until_checkpoint()
    faults.command("scontrol", "requeue", job)
    own.watch(lambda now: now.count("pending") == 1)
    own.until_done()
    assert faults.restarts(job) == 1
    own.check_equal(references)


def test_cancel_and_launch_again(scenario: Make, references: References) -> None:
    own = scenario("long", "DARTS_V2")
    (job,) = own.launch().jobs
    own.until_checkpoint()
    with faults.asking():
        assert cancel(own.folder) == [job]
    own.may_be |= {"lost"}
    now = own.watch(lambda now: not now.runs[0].queued)
    assert now.runs[0].state in ("pending", "lost")
    assert own.launch().runs == 1
    own.until_done()
    own.check_equal(references)
