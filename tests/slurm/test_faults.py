"""The fault suite, on a real cluster: whatever happens, every run ends once, with the bits of an uninterrupted run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import tracking
from bench.checkpoint import save_checkpoint
from bench.lease import holder_of
from bench.records import RunDirectory
from slurm.launch import launch
from slurm.submissions import read_submissions
from tests.bench.test_resume import outcome
from tests.slurm import scenario as faults
from tests.slurm.conftest import References
from tests.slurm.scenario import Scenario, profile, runs_of

pytestmark = pytest.mark.slurm
Make = Callable[..., Scenario]


@pytest.fixture(scope="module")
def limited(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """A training that outlasts its time limit of a minute, going on beside the other tests."""
    folder = tmp_path_factory.mktemp("limit") / "faults-limit"
    node = {"nodelist": "n2"} if faults.cluster_is_ours() else {}  # the other tests break n1
    own = profile(time="1min", signal_seconds=40, sbatch=node)
    started = Scenario(folder, runs_of("limit", "PC_DARTS_cifar"), own)
    started.launch()
    return started


def test_two_methods_and_two_seeds_with_the_controller_restarted_and_the_tracker_down(
    limited: Scenario,
    scenario: Make,
    references: References,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    whole = scenario("arrays", "darts", "pc_darts", sync=True)
    launched = whole.launch()
    assert [(array.phase, len(array.tasks)) for array in launched.arrays] == [("search", 4), ("train", 4)]
    if faults.cluster_is_ours():
        whole.until_checkpoint()
        faults.restart_controller()
    whole.until_done()
    whole.check_equal(references)
    assert "warning: the tracker http://127.0.0.1:9 failed" in whole.logs()
    assert launch(whole.folder, whole.planned, whole.cluster).arrays == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    report = tracking.sync(whole.folder, tracking.open_store(whole.folder.parent))
    assert (report.created, report.problems) == (8, [])


def test_requeue_by_hand(scenario: Make, references: References) -> None:
    own = scenario("long", "DARTS_V2")
    (job,) = own.launch().jobs
    own.until_checkpoint()
    subprocess.run(["scontrol", "requeue", job], check=True)
    own.watch(lambda now: now.count("pending") == 1)
    own.until_done()
    assert faults.restarts(job) == 1
    own.check_equal(references)


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


def test_node_crash(our_cluster: None, scenario: Make, references: References) -> None:
    own = scenario("long", "darts", phases=("search",))
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
    own = scenario("long", "DARTS_V2")
    own.launch()
    now = own.until_checkpoint()
    path = now.runs[0].record.path
    first = holder_of(path)
    assert first is not None
    assert first.host == "n1"
    try:
        faults.cut_off("n1")
        own.until_done()
    finally:
        faults.repair()
    assert len(list((path / ".lease").glob("*.json"))) == 1
    own.check_equal(references)


def test_the_submitting_process_is_killed(scenario: Make, references: References) -> None:
    """Between two arrays, and before it could note the first one's id: launching again finds it and adds the rest."""
    own = scenario("arrays", "darts")
    killed = (
        "import os, signal; from pathlib import Path; from slurm import launch as l, submissions as s\n"
        "write, count = s.Submission.write, []\n"
        "def once(self, folder):\n"
        "    count.append(0)\n"
        "    if len(count) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(self, folder)\n"
        "s.Submission.write = once\n"
        "from tests.slurm.scenario import Scenario, profile, runs_of\n"
        f"Scenario(Path({str(own.folder)!r}), runs_of('arrays', 'darts'), profile()).launch()\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed], cwd=Path(__file__).parent.parent.parent)
    assert ended.returncode == -9
    assert [array.job for array in read_submissions(own.folder)[0].arrays] == [None, None]
    own.look()
    again = own.launch()
    assert [(array.phase, len(array.runs)) for array in again.arrays] == [("train", 2)]
    own.until_done()
    own.check_equal(references)


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


def test_cancel_and_launch_again(scenario: Make, references: References) -> None:
    from slurm.launch import cancel

    own = scenario("long", "DARTS_V2")
    (job,) = own.launch().jobs
    own.until_checkpoint()
    assert cancel(own.folder) == [job]
    own.may_be |= {"lost"}
    now = own.watch(lambda now: not now.runs[0].queued)
    assert now.runs[0].state in ("pending", "lost")
    assert own.launch().runs == 1
    own.until_done()
    own.check_equal(references)


def test_the_text_of_a_dry_run_is_what_sbatch_gets(scenario: Make, tmp_path: Path) -> None:
    own = scenario("arrays", "darts")
    text = launch(own.folder, own.planned, own.cluster, dry_run=True).texts
    assert not own.folder.exists()
    launched = own.launch()
    subprocess.run(["scancel", *launched.jobs], check=True)
    (submission,) = read_submissions(own.folder)
    code = next((own.folder / "slurm").glob("code-*")).name
    for number, (printed, given) in enumerate(zip(text, launched.texts, strict=True)):
        printed = printed.replace("TOKEN", submission.token).replace("=COMMIT", f"={submission.commit}")
        if not submission.commit:  # the code is not in a git checkout
            printed = printed.replace("export DASBENCH_COMMIT=\n", "")
        printed = printed.replace("code-at-submission", code).replace("ID_OF_ARRAY_0", launched.jobs[0])
        assert printed == given, f"array {number}"


def test_a_run_of_two_processes_is_preempted(cluster: None, scenario: Make) -> None:
    """Both stop after the same step, one requeues the job; the bits are those of two processes left alone."""
    whole, cut = scenario("long", "DARTS_V2", processes=2), scenario("long", "DARTS_V2", processes=2)
    cut.folder = cut.folder.parent / "cut" / cut.folder.name
    whole.launch()
    (job,) = cut.launch().jobs
    cut.until_checkpoint()
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    cut.until_done()
    whole.until_done()
    assert faults.restarts(job) == 1
    cut.check_equal(lambda info: outcome(RunDirectory(whole.folder / info.name)))
    assert RunDirectory(cut.folder / cut.planned[0].name).read_info().environment["processes"] == 2


def test_a_time_limit(limited: Scenario, references: References) -> None:
    limited.until_done(300)
    job: Any = read_submissions(limited.folder)[0].arrays[0].job
    assert faults.restarts(job) >= 1
    assert f"job {job}: SIGUSR2; stopping after this step" in limited.logs()
    assert f"job {job} goes back into the queue" in limited.logs()
    limited.check_equal(references)
