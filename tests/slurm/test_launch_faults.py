"""Faults of a launch and of what it launched: the submitter dies, a search fails, two processes are told to stop."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.checkpoint import save_checkpoint
from bench.records.directory import RunDirectory
from bench.tracking import mirror as tracking
from bench.tracking.check import Comparison, compare
from slurm.launch import launch
from slurm.submissions import read_submissions
from tests.bench.test_resume import outcome
from tests.slurm import faults
from tests.slurm.references import References
from tests.slurm.scenario import Scenario

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("after_the_restart")]
Make = Callable[..., Scenario]


def test_the_submitting_process_is_killed_and_the_tracker_is_down(
    scenario: Make, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two arrays, and before it could note the first one's id: launching again finds it and adds the rest."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    own = scenario("arrays", "darts", sync=True)
    killed = (
        "import os, signal; from pathlib import Path; from slurm import launch as l, submissions as s\n"
        "write, count = s.Submission.write, []\n"
        "def once(self, folder):\n"
        "    count.append(0)\n"
        "    if len(count) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(self, folder)\n"
        "s.Submission.write = once\n"
        "from tests.slurm.scenario import Scenario, profile, runs_of\n"
        f"cluster = profile(sbatch={own.cluster.sbatch}, sync=True)\n"
        f"Scenario(Path({str(own.folder)!r}), runs_of('arrays', 'darts'), cluster).launch()\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed], cwd=Path(__file__).parent.parent.parent)
    assert ended.returncode == -9
    assert [array.job for array in read_submissions(own.folder)[0].arrays] == [None, None]
    own.look()
    again = own.launch()
    assert [(array.phase, len(array.runs)) for array in again.arrays] == [("train", 2)]
    own.until_done()
    own.check_equal(references)
    sync_when_the_tracker_is_back(own, monkeypatch)


def sync_when_the_tracker_is_back(own: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    own.watch(lambda now: own.logs().count("warning: the tracker http://127.0.0.1:9 failed") == len(own.planned))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    store = tracking.open_store(own.folder.parent)
    assert len(compare(own.folder, store).missing) == len(own.planned)
    report = tracking.sync(own.folder, store)
    assert (report.created, report.problems) == (len(own.planned), [])
    assert compare(own.folder, store) == Comparison(len(own.planned))


def test_a_failed_search_holds_back_its_own_training_only(scenario: Make, references: References) -> None:
    own = scenario("arrays", "darts")
    first, training = own.planned[:2]
    directory = RunDirectory(own.folder / first.name)
    directory.create(first)
    save_checkpoint(directory.checkpoints, 0, 1, "another", {})
    own.may_be |= {"failed"}
    own.launch()
    now = own.watch(
        lambda now: now.count("done") == 2 and not any(run.queued for run in now.runs if run.state != "done")
    )
    notes = {run.record.info.name: (run.state, run.note) for run in now.runs if run.state != "done"}
    assert notes[first.name][0] == "failed"
    assert "belongs to configuration another" in notes[first.name][1]
    assert notes[training.name] == ("pending", f"needs {first.name}, which is failed")
    shutil.rmtree(directory.checkpoints)
    assert own.launch().runs == 2
    own.until_done()
    own.check_equal(references)


def test_a_run_of_two_processes_is_told_to_stop(scenario: Make) -> None:
    """Both stop after the same step, one requeues the job; the bits are those of two processes left alone."""
    whole, cut = (scenario("pair", "DARTS_V2", processes=2, mem="2000M") for _ in range(2))
    cut.folder = cut.folder.parent / "cut" / cut.folder.name
    whole.launch()
    (job,) = cut.launch().jobs
    cut.until_checkpoint()
    faults.command("scancel", "--signal=USR2", job)
    cut.until_done()
    whole.until_done()
    assert faults.restarts(job) == 1
    cut.check_equal(lambda info: outcome(RunDirectory(whole.folder / info.name)))
    assert RunDirectory(cut.folder / cut.planned[0].name).read_info().environment["processes"] == 2


def test_two_runs_of_one_task(scenario: Make, references: References) -> None:
    """The second waits for its turn; when the first is interrupted by a requeue, both are done by the next start."""
    own = scenario("long", "DARTS_V2", "PC_DARTS_cifar", runs_per_task=2)
    launched = own.launch()
    assert [(len(array.runs), len(array.tasks)) for array in launched.arrays] == [(2, 1)]
    now = own.until_checkpoint()
    (job,) = launched.jobs
    assert sorted(run.note for run in now.runs)[1] == f"waits for its turn in job {job}, which is running"
    faults.command("scontrol", "requeue", job)
    own.until_done()
    assert faults.restarts(job) == 1
    own.check_equal(references)


def test_the_text_of_a_dry_run_is_what_sbatch_gets(scenario: Make, tmp_path: Path) -> None:
    own = scenario("arrays", "darts")
    text = launch(own.folder, own.planned, own.cluster, dry_run=True).texts
    assert not own.folder.exists()
    launched = own.launch()
    faults.command("scancel", *launched.jobs)
    (submission,) = read_submissions(own.folder)
    code = next((own.folder / "slurm").glob("code-*")).name
    for number, (printed, given) in enumerate(zip(text, launched.texts, strict=True)):
        printed = printed.replace("TOKEN", submission.token).replace("=COMMIT", f"={submission.commit}")
        if not submission.commit:  # the code is not in a git checkout
            printed = printed.replace("export DASBENCH_COMMIT=\n", "")
        printed = printed.replace("code-at-submission", code).replace("ID_OF_ARRAY_0", launched.jobs[0])
        assert printed == given, f"array {number}"
