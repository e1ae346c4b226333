"""The local queue: order, failure, blocking, being stopped; with runs that are a line of shell."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.directory import RunDirectory, RunInfo
from bench.records.lease import hold
from bench.records.soundness import signature
from bench.run import jobs, local, processes
from bench.run.jobs import make_jobs
from bench.run.local import Queue, devices_for, work
from bench.run.stop import SIGNALS
from tests.bench.test_records import info, result


class FakeProcess(subprocess.Popen[bytes]):
    """A run that writes its result, or ends with the exit code its label asks for."""

    def __init__(self, command: list[str], **more: object) -> None:
        path = Path(command[-3])
        label = RunDirectory(path).read_info().label
        done = f"echo '{json.dumps({'schema': 1, **result()})}' > {path}/result.json"
        starts = (
            "import sys, time; time.sleep(0.5); from bench.run.stop import StopFlag; flag = StopFlag(); flag.install();"
            "open(sys.argv[1], 'w').write(str(flag.reason)); sys.exit(75)"
        )
        script = {
            "fails": "exit 1",
            "starts": f'exec {sys.executable} -W ignore -c "{starts}" {path}/heard',
            "deaf": "trap '' TERM; exec sleep 30",
            "dies": f"{done}; kill -9 $$",
            "sleeps": "trap 'exit 75' TERM; sleep 30 & wait",
            "busy": f"test -e {path}/second && {done} && exit 0; touch {path}/second; exit 73",
        }.get(label, done)
        listens = None if path.name.startswith("train-starts") else _listen
        super().__init__(["bash", "-c", script], preexec_fn=listens, start_new_session=True)


def _listen() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.subprocess, "Popen", FakeProcess)
    monkeypatch.setattr(local, "BUSY_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(local, "POLL_SECONDS", 0.01)


def runs(*labels: str, needs: dict[str, list[str]] | None = None) -> list[RunInfo]:
    wanted = needs or {}
    configs = {label: {"threads": 1, "label": label} for label in labels}
    needs_of = {label: [signature(configs[name]) for name in wanted.get(label, [])] for label in labels}
    return [
        info(label, config=configs[label], signature=signature(configs[label]), needs=needs_of[label])
        for label in labels
    ]


def states(queue: Queue) -> dict[str, str]:
    return {job.info.label: job.state for job in queue.jobs}


def test_needs_come_first_and_a_failure_blocks_only_what_needs_it(tmp_path: Path) -> None:
    planned = runs("fails", "search", "train", "child", "grandchild",
                   needs={"train": ["search"], "child": ["fails"], "grandchild": ["child"]})  # fmt: skip
    queue = Queue(make_jobs(tmp_path, planned), ["cpu", "cpu"])
    order: list[tuple[str, ...]] = []

    class Watch:
        def update(self, queue: Queue) -> None:
            order.append(tuple(sorted(job.info.label for job in queue.jobs if job.state == "running")))
            assert len(order[-1]) <= 2

    work(queue, [Watch()])
    expected = {"fails": "failed", "search": "done", "train": "done", "child": "blocked", "grandchild": "blocked"}
    assert states(queue) == expected
    assert not any({"search", "train"} <= set(running) for running in order)
    again = Queue(make_jobs(tmp_path, planned), ["cpu"])
    assert states(again)["search"] == "done"
    assert states(again)["fails"] == "waiting"


def test_a_run_that_is_busy_elsewhere_is_waited_for(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("busy")), ["cpu"])
    work(queue)
    assert states(queue) == {"busy": "done"}


def test_stopping_lets_runs_write_their_checkpoints(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("sleeps", "later", needs={"later": ["sleeps"]})), ["cpu"])

    class Stop:
        started = time.monotonic()

        def update(self, queue: Queue) -> None:
            if time.monotonic() - self.started > 0.5 and not queue.stopping:
                queue.stop()

    work(queue, [Stop()])
    assert states(queue) == {"sleeps": "interrupted", "later": "waiting"}


class StopEarly:
    """Tells the queue to stop as soon as a run has a process, and again half a second later when `twice`."""

    def __init__(self, twice: bool = False) -> None:
        self.twice, self.first = twice, 0.0

    def update(self, queue: Queue) -> None:
        if not self.first and any(job.state == "running" for job in queue.jobs):
            self.first = time.monotonic()
            queue.stop()
        elif self.twice and self.first and time.monotonic() - self.first > 0.5:
            self.twice = False
            queue.stop(signal.SIGKILL)


def test_a_run_that_is_told_to_stop_while_it_starts_is_interrupted(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("starts")), ["cpu"])
    work(queue, [StopEarly()])
    assert states(queue) == {"starts": "interrupted"}
    assert (queue.jobs[0].directory.path / "heard").read_text() == "SIGTERM"


def test_a_run_that_is_killed_by_the_second_stop_is_interrupted(tmp_path: Path) -> None:
    planned = runs("deaf")
    jobs.create_missing(make_jobs(tmp_path, planned))
    directory = RunDirectory(tmp_path / planned[0].name)
    planned[0].status = "running"
    directory.write_info(planned[0])
    queue = Queue(make_jobs(tmp_path, planned), ["cpu"])
    work(queue, [StopEarly(twice=True)])
    assert states(queue) == {"deaf": "interrupted"}
    assert (directory.read_info().status, directory.read_info().error) == ("interrupted", None)


def test_a_run_whose_output_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    planned = runs("locked", "child", "fine", needs={"child": ["locked"]})
    jobs.create_missing(make_jobs(tmp_path, planned))
    output = tmp_path / planned[0].name / "output.log"
    output.mkdir()
    queue = Queue(make_jobs(tmp_path, planned), ["cpu"])
    work(queue)
    assert states(queue) == {"locked": "failed", "child": "blocked", "fine": "done"}
    assert str(queue.jobs[0].info.error).startswith(f"cannot write {output}: ")
    output.rmdir()
    again = Queue(make_jobs(tmp_path, planned), ["cpu"])
    work(again)
    assert set(states(again).values()) == {"done"}


def test_fail_fast_stops_the_rest(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("sleeps", "fails")), ["cpu", "cpu"], fail_fast=True)
    work(queue)
    assert states(queue) == {"sleeps": "interrupted", "fails": "failed"}


def test_a_run_without_its_queue_holds_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed queue left running counts; when it has ended, its run goes on here."""
    monkeypatch.setattr(local, "ORPHAN_SECONDS", 0.0)
    planned = runs("orphan", "other")
    queue = Queue(make_jobs(tmp_path, planned), ["cpu"])
    jobs.create_missing(queue.jobs)
    with hold(queue.jobs[0].directory.path):
        for _ in range(3):
            queue.step()
            assert states(queue) == {"orphan": "running", "other": "waiting"}
    work(queue)
    assert states(queue) == {"orphan": "done", "other": "done"}


def test_a_run_of_another_queue_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(local.os, "kill", lambda pid, number: killed.append(pid))
    queue = Queue(make_jobs(tmp_path, runs("theirs")), ["cpu"])
    jobs.create_missing(queue.jobs)
    with hold(queue.jobs[0].directory.path):
        monkeypatch.setattr(local, "has_python_parent", lambda pid: True)
        queue.step()
        queue.stop()
        assert (queue.finished, killed) == (True, [])
        queue.stopping, queue.jobs[0].look_again = False, 0.0
        monkeypatch.setattr(local, "has_python_parent", lambda pid: False)
        queue.step()
        queue.stop()
        assert (queue.finished, len(killed)) == (False, 1)


def test_a_run_killed_behind_its_result_is_done(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("dies")), ["cpu"])
    work(queue)
    assert states(queue) == {"dies": "done"}
    assert queue.jobs[0].directory.read_info().status == "done"


def test_a_record_that_is_not_what_was_planned_fails_alone(tmp_path: Path) -> None:
    planned = runs("changed", "damaged", "child", "fine", needs={"child": ["damaged"]})
    jobs.create_missing(make_jobs(tmp_path, planned))
    changed = RunDirectory(tmp_path / planned[0].name)
    changed.write_info(info("changed", config={"threads": 2}, signature=planned[0].signature))
    (tmp_path / planned[1].name / "run.json").write_bytes(b"\xff")
    queue = Queue(make_jobs(tmp_path, planned), ["cpu"])
    work(queue)
    assert states(queue) == {"changed": "failed", "damaged": "failed", "child": "blocked", "fine": "done"}
    errors = {job.info.label: str(job.info.error) for job in queue.jobs}
    assert "its configuration has the signature" in errors["changed"]
    assert "is damaged" in errors["damaged"]


def test_planning_writes_nothing(tmp_path: Path) -> None:
    make_jobs(tmp_path / "runs", runs("one"))
    assert list(tmp_path.iterdir()) == []


def test_devices() -> None:
    assert devices_for("cpu", threads=1, jobs=3) == ["cpu"] * 3
    assert set(devices_for("cpu", threads=10_000)) == {"cpu"}
    with pytest.raises(RuntimeError, match="is not there"):
        devices_for("cuda:99", 1)
