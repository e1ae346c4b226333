"""The local queue: order, failure, blocking, being stopped; with runs that are a line of shell."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from bench import local
from bench.local import Queue, devices_for, make_jobs, work
from bench.records import RunDirectory, RunInfo
from bench.soundness import signature
from tests.bench.test_records import info, result


class FakeProcess(subprocess.Popen[bytes]):
    """A run that writes its result, or ends with the exit code its label asks for."""

    def __init__(self, command: list[str], **more: object) -> None:
        path = Path(command[-3])
        label = RunDirectory(path).read_info().label
        done = f"echo '{json.dumps({'schema': 1, **result()})}' > {path}/result.json"
        script = {
            "fails": "exit 1",
            "sleeps": "trap 'exit 75' TERM; sleep 30 & wait",
            "busy": f"test -e {path}/second && {done} && exit 0; touch {path}/second; exit 73",
        }.get(label, done)
        super().__init__(["bash", "-c", script])


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.subprocess, "Popen", FakeProcess)
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


def test_fail_fast_stops_the_rest(tmp_path: Path) -> None:
    queue = Queue(make_jobs(tmp_path, runs("sleeps", "fails")), ["cpu", "cpu"], fail_fast=True)
    work(queue)
    assert states(queue) == {"sleeps": "interrupted", "fails": "failed"}


def test_devices() -> None:
    assert devices_for("cpu", threads=1, jobs=3) == ["cpu"] * 3
    assert set(devices_for("cpu", threads=10_000)) == {"cpu"}
    with pytest.raises(RuntimeError, match="is not there"):
        devices_for("cuda:99", 1)
