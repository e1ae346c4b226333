"""What a job does with signals, with SLURM's answers and with the code it finds; the cluster tests do it for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.directory import RecordError, RunDirectory
from slurm import task
from slurm.snapshot import take_snapshot
from slurm.task import RunTask, SlurmJob, TaskError, check_code
from tests.slurm.scenario import runs_of

HOLD = Path(task.__file__).parent / "hold_signals.py"


def fake_scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch, state: str, restarts: int, fails: int = 0) -> Path:
    """A scontrol that answers as 22.05 does and notes what it is asked; the first `fails` requeues fail."""
    log = folder / "asked"
    script = f"""#!/bin/sh
echo "$@" >> {log}
case "$1" in
show) echo "JobId=8 ArrayJobId=7 ArrayTaskId=1 JobName=x JobState={state} Reason=None Restarts={restarts}";;
requeue) [ "$(grep -c requeue {log})" -gt {fails} ] || {{ echo "Unable to contact slurm controller" >&2; exit 1; }};;
esac
"""
    path = folder / "scontrol"
    path.write_text(script)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(task, "WAIT_SECONDS", 0.01)
    return log


@pytest.mark.parametrize(
    ("state", "restarts", "requeued"),
    [
        ("RUNNING", 2, True),  # time limit, preemption with a grace time
        ("COMPLETING", 2, False),  # scancel or scontrol requeue: SLURM has decided
        ("PENDING", 2, False),
        ("RUNNING", 3, False),  # a later copy runs: this one was given up
    ],
)
def test_a_job_requeues_itself_only_when_slurm_has_not_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, restarts: int, requeued: bool
) -> None:
    log = fake_scontrol(tmp_path, monkeypatch, state, restarts)
    SlurmJob("7_1", 2).requeue()
    assert ("requeue 7_1" in log.read_text()) == requeued


def test_a_controller_that_is_away_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_scontrol(tmp_path, monkeypatch, "RUNNING", 0, fails=2)
    SlurmJob("7_1", 0).requeue()
    assert log.read_text().count("requeue") == 3


def test_an_array_task_is_never_called_by_its_plain_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "4")
    assert SlurmJob.from_environment() == SlurmJob("7_3", 4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_during_start_up_and_a_step_is_not_lost(number: signal.Signals) -> None:
    """It comes before anything listens, and the main thread is in a call that returns to Python only at its end."""
    program = (
        "import time; time.sleep(1.5)\n"  # start-up
        "from slurm.task import listen, SlurmJob\n"
        "stop = listen(SlurmJob('1', 0), 60)\n"
        "time.sleep(0.3)\n"
        "print(stop.reason)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", str(HOLD), sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.7)
    process.send_signal(number)
    assert process.communicate()[0].strip() == number.name
    assert process.returncode == 0


def test_other_code_than_was_submitted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="instead of the submitted"):
        check_code(str(tmp_path))
    check_code(str(Path(task.__file__).parent.parent))


def test_a_snapshot_is_what_lies_in_the_working_tree(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", *words], cwd=root, check=True, capture_output=True
        )

    root = tmp_path / "checkout"
    (root / "bench").mkdir(parents=True)
    (root / "bench" / "a.py").write_text("one")
    (root / ".gitignore").write_text("ignored*\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    clean, commit = take_snapshot(tmp_path / "runs", root)
    assert len(commit) == 40
    assert clean.name == f"code-{commit[:12]}"
    assert take_snapshot(tmp_path / "runs", root) == (clean, commit)
    (root / "bench" / "a.py").write_text("two")
    (root / "bench" / "new.py").write_text("new")
    (root / "bench" / "ignored.py").write_text("ignored")
    (root / "data.bin").write_text("not code")
    changed, version = take_snapshot(tmp_path / "runs", root)
    assert version == f"{commit}+dirty"
    assert sorted(path.name for path in changed.rglob("*") if path.is_file()) == [".gitignore", "a.py", "new.py"]
    assert ((changed / "bench" / "a.py").read_text(), (clean / "bench" / "a.py").read_text()) == ("two", "one")


def test_the_payload_carries_paths_and_signatures_only() -> None:
    assert list(RunTask.__dataclass_fields__) == ["runs", "code", "signal_seconds", "sync"]


def test_a_task_calibrates_its_node_and_outlives_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Path, int]] = []
    (info, *_) = runs_of("arrays", "DARTS_V2")
    directory = RunDirectory(tmp_path / "faults-arrays" / info.name)
    directory.create(info)
    monkeypatch.setattr(task, "calibrate", lambda runs_dir, threads: asked.append((runs_dir, threads)))
    task.calibrate_node(directory.path)
    assert asked == [(tmp_path, info.config["threads"])]

    def full(runs_dir: Path, threads: int) -> None:
        raise RecordError("cannot write: no space")

    monkeypatch.setattr(task, "calibrate", full)
    task.calibrate_node(directory.path)
    assert "no space; runs take the default choices" in capsys.readouterr().err
