"""How a run is judged from its records, its heartbeat and what SLURM says; SLURM's words were recorded on 22.05."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli import main
from bench.records.directory import Record, RunDirectory, RunInfo
from slurm import queue
from slurm.arrays import Place
from slurm.cluster import load_cluster
from slurm.launch import LaunchError, launch
from slurm.queue import Job, parse_sacct, parse_squeue
from slurm.status import judge, status, table
from slurm.submissions import Submission, Submitted, SubmittedArray, read_submissions, submitted_runs
from tests.bench.test_records import result

SQUEUE = """\
39973008_3|PENDING|Dependency||0:00|tiny-tiny-train-1b2c3d4e-1
39973008_2|PENDING|JobArrayTaskLimit||0:00|tiny-tiny-train-1b2c3d4e-1
39973007_3|RUNNING|None|n1|1-02:03:04|tiny-tiny-search-1b2c3d4e-0
39973007_2|COMPLETED|None|n1|0:12|tiny-tiny-search-1b2c3d4e-0
39973009|PENDING|BeginTime||0:00|a|b
"""
SACCT = """\
39973007_2|COMPLETED|n1|tiny-tiny-search-1b2c3d4e-0
39973007_3|NODE_FAIL|n1|tiny-tiny-search-1b2c3d4e-0
39973010_[0-3]|PENDING|None assigned|other
39973011|CANCELLED by 0|n2|one
"""


def test_squeue_is_read() -> None:
    jobs = parse_squeue(SQUEUE)
    assert jobs["39973007_3"] == Job(
        "39973007_3", "tiny-tiny-search-1b2c3d4e-0", "RUNNING", "", "n1", 26 * 3600 + 3 * 60 + 4
    )
    assert jobs["39973008_3"].reason == "Dependency"
    assert jobs["39973009"].name == "a|b"
    assert [job.active for job in jobs.values()] == [True, True, True, False, True]


def test_what_a_site_says_beside_the_jobs_is_passed_over() -> None:
    notice = "NOTICE: maintenance on Friday | see https://hpc.example/news\n\nsqueue: a|b|c|d|e|f\n"
    assert parse_squeue(notice + SQUEUE + notice) == parse_squeue(SQUEUE)
    assert parse_sacct(notice + SACCT + notice) == parse_sacct(SACCT)


@pytest.mark.parametrize(
    "content",
    [b"\xff\x00\x80", b"[" * 100_000, b"{", b"[]", b'{"epoch": "x", "epochs": [1]}', b'{"epoch": 1e999, "epochs": 3}',
     b'{"epoch": null, "epochs": ' + b"9" * 400 + b"}"],
)  # fmt: skip
def test_a_damaged_heartbeat_hides_nothing(tmp_path: Path, content: bytes) -> None:
    record = make_run(tmp_path, "running")
    (record.path / "progress.json").write_bytes(content)
    beat(record, 5)
    now = status(tmp_path)
    assert [run.state for run in now.runs] == ["running"]
    assert table([now]).row_count == 1


def test_sacct_is_read() -> None:
    jobs = parse_sacct(SACCT)
    assert {name: job.state for name, job in jobs.items()} == {
        "39973007_2": "COMPLETED",
        "39973007_3": "NODE_FAIL",
        "39973011": "CANCELLED",
    }


def make_run(
    folder: Path, status: str = "pending", name: str = "a", needs: tuple[str, ...] = (), **more: Any
) -> Record:
    info = RunInfo(
        "e", "p", name, "m", "train", "digits", None, 0, name * 16, {"threads": 1}, needs=list(needs), **more
    )
    info.status = status
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return Record(directory.path, info, None)


def beat(record: Record, age: float, host: str = "n1") -> None:
    folder = record.path / ".lease"
    folder.mkdir(exist_ok=True)
    holder = {"token": "t", "host": host, "system": "elsewhere", "pid": 1, "started": "1", "job": "5"}
    (folder / "000001.json").write_text(json.dumps(holder))
    then = time.time() - age
    os.utime(folder / "000001.json", (then, then))


OWN = Submitted(Place("5", 0, 0), 100.0, 1)


def says(state: str, **more: Any) -> dict[str, Job]:
    return {"5_0": Job("5_0", "name", state, **more)}


@pytest.mark.parametrize(
    ("recorded", "age", "jobs", "state", "queued"),
    [
        ("pending", None, says("PENDING", reason="Priority"), "pending", True),
        ("pending", None, says("RUNNING", node="n1", seconds=20), "running", True),
        ("pending", None, says("RUNNING", node="n1", seconds=6000), "lost", True),
        ("running", 5, says("RUNNING", node="n1", seconds=6000), "running", True),
        ("running", 5, says("PENDING"), "running", True),  # a split brain: requeued, and its heart beats on
        ("running", 40, says("PENDING"), "pending", True),  # requeued after a crash, the last beat not yet expired
        ("running", 500, says("PENDING", reason="BeginTime"), "pending", True),
        ("running", 500, says("COMPLETING"), "pending", True),
        ("running", 500, says("NODE_FAIL"), "lost", False),  # squeue does not list it as rerun
        ("running", 500, says("TIMEOUT"), "lost", False),
        ("running", 500, {}, "lost", False),  # no accounting, and the controller has forgotten it
        ("pending", None, says("FAILED"), "lost", False),  # it ended before the run began
        ("pending", None, says("CANCELLED"), "lost", False),
        ("interrupted", None, says("PENDING"), "pending", True),
        ("interrupted", None, says("CANCELLED"), "pending", False),
        ("running", 500, None, "unknown", True),
        ("running", 5, None, "running", True),
    ],
)
def test_a_submitted_run(
    tmp_path: Path, recorded: str, age: float | None, jobs: dict[str, Job] | None, state: str, queued: bool
) -> None:
    record = make_run(tmp_path, recorded)
    if age is not None:
        beat(record, age)
    found = judge(record, OWN, jobs)
    assert (found.state, found.queued) == (state, queued)


def test_a_failure_counts_until_it_is_submitted_again(tmp_path: Path) -> None:
    record = make_run(tmp_path, "failed", error="ValueError: bad", finished=200.0)
    (record.path / "error.log").write_text("Traceback\n  a\n  b\n  c\nValueError: bad\n")
    found = judge(record, OWN, says("COMPLETING"))
    assert (found.state, found.queued, found.note) == ("failed", False, "b\nc\nValueError: bad")
    again = Submitted(Place("5", 0, 0), 300.0, 1)
    assert judge(record, again, says("PENDING")).state == "pending"
    assert judge(record, again, says("FAILED")).state == "lost"


def test_local_runs_need_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue.shutil, "which", lambda name: None)
    folder = tmp_path / "e-p"
    beat(make_run(folder, "running", "a"), 5)
    beat(make_run(folder, "running", "b"), 500)
    make_run(folder, "failed", "c", error="ValueError: bad")
    make_run(folder, "pending", "d", needs=("c" * 16,))
    make_run(folder, "interrupted", "e")
    RunDirectory(make_run(folder, "done", "f").path).write_result(result())
    now = status(folder)
    assert now.problems == []
    assert {run.record.info.label: run.state for run in now.runs} == {
        "a": "running",
        "b": "lost",
        "c": "failed",
        "d": "pending",
        "e": "pending",
        "f": "done",
    }
    notes = {run.record.info.label: run.note for run in now.runs}
    assert notes["c"] == "ValueError: bad"
    assert notes["d"] == "needs train-c-r0-cccccccccc, which is failed"
    assert table([now]).row_count == 5


def test_a_silent_slurm_is_said_and_nothing_is_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue.shutil, "which", lambda name: None)
    record = make_run(tmp_path, "running")
    Submission("t", "c", "", 1.0, [SubmittedArray("n", "train", [record.info.signature], job="5")]).write(tmp_path)
    now = status(tmp_path)
    assert [run.state for run in now.runs] == ["unknown"]
    assert "there is no SLURM on this machine" in now.problems[0]


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    make_run(tmp_path, "pending", "a")
    (make_run(tmp_path, "pending", "b").path / "run.json").write_text("{")
    now = status(tmp_path)
    assert len(now.runs) == 1
    assert "is damaged" in now.problems[0]


def test_a_job_whose_launch_was_killed_is_found_by_its_name(tmp_path: Path) -> None:
    arrays = [SubmittedArray("e-p-search-77-0", "search", ["x", "y"]), SubmittedArray("e-p-train-77-1", "train", ["z"])]
    Submission("77", "c", "", 5.0, arrays).write(tmp_path)
    jobs = {"9_0": Job("9_0", "e-p-search-77-0", "RUNNING"), "9_1": Job("9_1", "e-p-search-77-0", "PENDING")}
    found = submitted_runs(read_submissions(tmp_path), jobs)
    assert {name: own.job for name, own in found.items()} == {"x": "9_0", "y": "9_1"}


def test_a_note_is_shown_as_it_is(tmp_path: Path) -> None:
    """An error may look like rich's markup, which would be swallowed or end in an error."""
    make_run(tmp_path, "failed", error="KeyError: '[/red] [0-3]'")
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table([status(tmp_path)]))
    assert "KeyError: '[/red] [0-3]'" in console.export_text()


def test_eighty_columns_hold_a_long_name_whole(tmp_path: Path) -> None:
    """One line a run, its experiment above it; the note is broken between words, behind the name."""
    label = "l1-filters (matched)"
    for folder in ("cifar10-paper", "mgas-ablation-paper"):
        make_run(tmp_path / folder, "failed", label, error="the process ended with SIGKILL; see its output.log")
        make_run(tmp_path / folder, "pending", "darts")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table([status(tmp_path / folder) for folder in ("cifar10-paper", "mgas-ablation-paper")]))
    lines = console.export_text().splitlines()
    name = next((tmp_path / "cifar10-paper").glob(f"*{label}*")).name
    assert [line.strip() for line in lines].count("mgas-ablation-paper") == 1
    assert sum(line.startswith(f"{name}  failed  ") for line in lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert not any("epoch" in line or "images/s" in line for line in lines)


def fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, squeue: str) -> Path:
    """A squeue that gives recorded lines, and a scancel that notes what it is asked for."""
    folder.mkdir()
    (folder / "lines").write_text(squeue)
    for name, line in {
        "squeue": f"cat {folder}/lines",
        "scancel": f'echo "$@" >> {folder}/asked',
        "sbatch": "",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "asked"


def test_cancel_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "runs" / "e-p"
    names = [make_run(folder, "pending", name).info.signature for name in ("a", "b", "c")]
    Submission("t", "c", "", 1.0, [SubmittedArray("n", "train", names, job="5")]).write(folder)
    asked = fake_slurm(tmp_path / "bin", monkeypatch, "5_0|RUNNING|None|n1|0:01|n\n5_1|PENDING|Priority||0:00|n\n")
    where = ["--runs-dir", str(tmp_path / "runs")]
    assert main(["cancel", "e-p", *where, "--methods", "d"]) == 2
    assert "no runs of 'd' in" in capsys.readouterr().err
    assert not asked.exists()
    assert main(["cancel", "e-p", *where, "--methods", "b", "c"]) == 0
    assert asked.read_text().split() == ["5_1"]  # c is not known to SLURM any more
    assert main(["cancel", "e-p", *where]) == 0
    assert asked.read_text().split() == ["5_1", "5_0", "5_1"]


def test_what_cannot_be_cancelled_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(queue.shutil, "which", lambda name: None)
    folder = tmp_path / "e-p"
    record = make_run(folder, "running")
    assert main(["cancel", "e-p", "--runs-dir", str(tmp_path)]) == 0  # never submitted: nothing to cancel
    Submission("t", "c", "", 1.0, [SubmittedArray("n", "train", [record.info.signature], job="5")]).write(folder)
    assert main(["cancel", "e-p", "--runs-dir", str(tmp_path)]) == 2
    assert "SLURM does not answer (there is no sbatch on this machine)" in capsys.readouterr().err


def test_nothing_is_launched_while_slurm_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed launch may have submitted these runs without noting their job."""
    record = make_run(tmp_path)
    Submission("t", "c", "", 1.0, [SubmittedArray("n", "train", [record.info.signature])]).write(tmp_path)
    fake_slurm(tmp_path / "bin", monkeypatch, "")
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(LaunchError, match="SLURM does not answer"):
        launch(tmp_path, [record.info], load_cluster("local-test"))
    assert len(list((tmp_path / "slurm").glob("launch-*.json"))) == 1
