"""Runs as forks of a warmed process: what a new process does, without depending on who started them."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.checkpoint import list_checkpoints
from bench.records.directory import RunDirectory, RunInfo
from bench.records.lease import has_python_parent
from bench.run import fork_server
from bench.run.jobs import make_jobs
from bench.run.local import Queue, work
from bench.run.one_run import DONE, INTERRUPTED
from bench.run.processes import UNSEEN, Fresh, Order, Process, Processes, output_of
from bench.run.stop import held_back
from bench.run.warm import SWITCH, Fork, Forks, processes_for
from tests.bench.image_folders import class_folders, experiment
from tests.bench.test_resume import outcome

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="forks are used on Linux")
_servers: list[Forks] = []


@pytest.fixture(scope="module", autouse=True)
def _end() -> Iterator[None]:
    yield
    for forks in _servers:
        forks.close()


@pytest.fixture
def forks() -> Forks:
    """A warm server: that of the test before, if it is still there."""
    if not _servers or _servers[-1].given_up:
        _servers.append(Forks())
    until(_servers[-1].ready)
    assert not _servers[-1].given_up, "the server refused"
    return _servers[-1]


def until(happened: Callable[[], Any], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(processes: Processes, directory: RunDirectory, device: str = "cpu") -> Process:
    with output_of(directory.path) as output, held_back():
        return processes.start(Order(directory.path, device, 1), output)


def code_of(process: Process) -> int | None:
    until(lambda: process.poll() is not None)
    return process.poll()


def threads_variables(process: Process) -> list[bytes]:
    """What the process's environment tells OpenMP and MKL, which read it once."""
    environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return sorted(variable for variable in environment if b"_NUM_THREADS" in variable)


def leads_its_session(process: Process) -> bool:
    return os.getsid(process.pid) == process.pid


def is_named(process: Process, name: str) -> bool:
    return Path(f"/proc/{process.pid}/comm").read_text() == name[:15] + "\n"


def said(directory: RunDirectory) -> str:
    """What a run's process wrote, without the time and pid in front of torch's own warnings."""
    return re.sub(r"(?m)^([IWE])\d{4} [\d:.]+ \d+", r"\1", (directory.path / "output.log").read_text())


def test_a_fork_does_what_a_new_process_does(forks: Forks, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    """Of a search: every bit, what was said, and what is recorded of where."""
    forked, fresh = (tiny_runs("darts", folder=folder)[:1] for folder in ("forked", "fresh"))
    for one, other in zip(forked, fresh, strict=True):
        with (one.path / "output.log").open("ab") as log:
            log.write(b"before\n")  # what is there stays
        a = start(forks, one)
        assert isinstance(a, Fork)
        assert threads_variables(a) == [b"MKL_NUM_THREADS=1", b"OMP_NUM_THREADS=1"]
        until(partial(leads_its_session, a))
        until(partial(is_named, a, one.path.name))
        assert code_of(a) == DONE
        assert code_of(start(Fresh(), other)) == DONE
        assert outcome(one) == outcome(other)
        assert one.read_info().environment == other.read_info().environment
        assert said(one) == "before\n" + said(other)
        assert {path.name for path in one.path.iterdir()} == {path.name for path in other.path.iterdir()}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_fork_has_a_gpu_as_a_new_process_has(forks: Forks, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    forked, fresh = (tiny_runs("darts", folder=folder)[0] for folder in ("forked", "fresh"))
    process = start(forks, forked, "cuda:0")
    assert isinstance(process, Fork)
    assert code_of(process) == code_of(start(Fresh(), fresh, "cuda:0")) == DONE
    assert outcome(forked) == outcome(fresh)
    assert passed(forked) == passed(fresh)


def passed(directory: RunDirectory) -> dict[str, bool]:
    """Which fast paths were found right; how long that took differs."""
    return {path: proof["passed"] for path, proof in directory.read_info().environment["fast_paths"].items()}


@pytest.mark.long
def test_forks_side_by_side_decode_image_files(forks: Forks, tmp_path: Path) -> None:
    """Their decoders are threads of their own, begun after the fork; a search and a training, as two new processes."""
    class_folders(tmp_path / "shapes" / "train", {"a": 12, "b": 8})
    class_folders(tmp_path / "shapes" / "val", {"a": 4, "b": 4})
    planned = plan(load_experiment(experiment(tmp_path, {"folder": "shapes"})), "tiny", ["darts", "DARTS_V2"])
    infos = [next(info for info in planned if info.phase == phase and not info.needs) for phase in ("search", "train")]
    found: dict[str, list[RunDirectory]] = {}
    for name, processes in (("forked", forks), ("fresh", Fresh())):
        found[name] = [RunDirectory(tmp_path / name / info.name) for info in infos]
        for directory, info in zip(found[name], infos, strict=True):
            directory.create(replace(info))
        started = [start(processes, directory) for directory in found[name]]
        assert all(isinstance(process, Fork) == (name == "forked") for process in started)
        assert [code_of(process) for process in started] == [DONE, DONE]
    for one, other in zip(found["forked"], found["fresh"], strict=True):
        assert outcome(one) == outcome(other)
        assert said(one) == said(other)


def test_signals_reach_a_fork_from_its_first_moment(forks: Forks, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    asked, killed = tiny_runs("darts")[0], tiny_runs("darts", folder="killed")[0]
    process = start(forks, asked)
    process.send_signal(signal.SIGTERM)
    assert code_of(process) == INTERRUPTED
    assert asked.read_info().status == "interrupted"
    assert "interrupted by SIGTERM" in (asked.path / "output.log").read_text()
    process.send_signal(signal.SIGTERM)  # of one that has ended: nothing
    process = start(forks, killed)
    process.send_signal(signal.SIGKILL)
    assert code_of(process) == -signal.SIGKILL


def test_a_failing_run_says_why_in_its_own_output(forks: Forks, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (train,) = tiny_runs("darts")[1:2]  # the search it needs is not there
    assert code_of(start(forks, train)) == 1
    assert train.read_info().status == "failed"
    assert str(train.read_info().error) in (train.path / "output.log").read_text()


def test_a_run_goes_on_without_its_queue(forks: Forks, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    train, again = tiny_runs("DARTS_V2")[0], tiny_runs("DARTS_V2", folder="again")[0]
    process = start(forks, train)
    assert has_python_parent(process.pid)
    assert forks.server is not None
    assert forks.channel is not None
    forks.channel.shutdown(socket.SHUT_RDWR)  # what the system does for a process that is killed
    forks.server.wait(60)
    assert not has_python_parent(process.pid)  # so that another queue may stop it
    assert code_of(process) == UNSEEN
    assert train.read_result() is not None
    assert forks.ready()
    process = start(forks, again)
    assert not isinstance(process, Fork)
    process.send_signal(signal.SIGKILL)
    assert code_of(process) == -signal.SIGKILL


def test_a_queue_whose_server_is_killed_loses_nothing(forks: Forks, tmp_path: Path, planned: list[RunInfo]) -> None:
    queue, killed = Queue(make_jobs(tmp_path, planned[-1:]), ["cpu"], processes=forks), list[str]()

    class Kill:
        def update(self, queue: Queue) -> None:
            job = queue.jobs[0]
            if forks.server is not None and list_checkpoints(job.directory.checkpoints):
                forks.server.kill()
                killed.append(job.state)

    work(queue, [Kill()])
    assert "running" in killed
    assert [job.state for job in queue.jobs] == ["done"]


def test_when_forks_are_used(planned: list[RunInfo], monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(processes_for(planned, ["cpu"]), Forks)
    assert isinstance(processes_for(planned[:2], ["cpu", "cpu"]), Fresh), "nothing follows"
    planned[0].config = planned[0].config | {"threads": 2}
    assert isinstance(processes_for(planned, ["cpu"]), Fresh), "BLAS has started threads"
    monkeypatch.setenv(SWITCH, "0")
    assert isinstance(processes_for(planned[1:], ["cpu"]), Fresh)


def test_a_process_that_no_fork_could_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Cuda:
        begun: bool

        def is_initialized(self) -> bool:
            return self.begun

    monkeypatch.setattr(fork_server.os, "listdir", lambda path: ["1"])
    monkeypatch.setattr(fork_server.torch, "cuda", Cuda(False))
    assert fork_server.obstacle() is None
    monkeypatch.setattr(fork_server.torch, "cuda", Cuda(True))
    assert "CUDA" in str(fork_server.obstacle())
    monkeypatch.setattr(fork_server.os, "listdir", lambda path: ["1", "2"])
    assert "imports started 1 threads" in str(fork_server.obstacle())
