"""Run an experiment on this machine: a queue over plain subprocesses, as many at once as there are devices."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.engine import choose_device
from bench.records import RunDirectory, RunInfo
from bench.run import BUSY, DONE, INTERRUPTED

BUSY_WAIT_SECONDS = 5.0
POLL_SECONDS = 0.2


def devices_for(name: str, threads: int, jobs: int | None = None) -> list[str]:
    """One entry for each run that may go on at once: every GPU, or the CPU as often as its cores allow.

    Args:
        name: "auto", "cpu", "cuda" (all GPUs) or "cuda:1".
        threads: CPU threads of one run.
        jobs: largest number at once, instead.

    Raises:
        DeviceError: the device is not there.
    """
    device = choose_device(name)
    if device.type == "cuda":
        found = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if ":" not in name else [str(device)]
        return found[:jobs]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * (jobs or max(1, cores // threads))


@dataclass
class Job:
    """A run in the queue. `state`: waiting, running, done, failed, blocked or interrupted."""

    directory: RunDirectory
    info: RunInfo
    state: str = "waiting"
    device: str | None = None
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    started: float = 0.0

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")


@dataclass
class Queue:
    """Runs with what they need of each other, and the devices to run them on."""

    jobs: list[Job]
    devices: list[str]
    fail_fast: bool = False
    stopping: bool = False
    free: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = list(self.devices)
        self.by_signature = {job.info.signature: job for job in self.jobs}
        for job in self.jobs:
            if job.directory.read_result() is not None:
                job.state = "done"

    @property
    def finished(self) -> bool:
        return not any(job.state == "running" for job in self.jobs) and (
            self.stopping or not any(job.state == "waiting" for job in self.jobs)
        )

    def step(self) -> None:
        """Collect what ended, mark what can no longer run, start what can."""
        for job in self.jobs:
            if job.process is not None and job.process.poll() is not None:
                self._collect(job)
        for job in self.jobs:
            if job.state == "waiting" and any(self._of(need) in ("failed", "blocked") for need in job.info.needs):
                job.state = "blocked"
        for job in self.jobs:
            if not self.free or self.stopping:
                return
            ready = all(self._of(need) == "done" for need in job.info.needs)
            if job.state == "waiting" and ready and time.monotonic() >= job.not_before:
                self._start(job)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask every run to write its checkpoint and end."""
        self.stopping = True
        for job in self.jobs:
            if job.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    job.process.send_signal(number)

    def _of(self, signature: str) -> str:
        return self.by_signature[signature].state if signature in self.by_signature else "done"

    def _start(self, job: Job) -> None:
        job.device = self.free.pop(0)
        threads = str(job.info.config["threads"])
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "DASBENCH_COMMAND": " ".join(["dasbench", *sys.argv[1:]]),
        }
        command = [sys.executable, "-W", "ignore::FutureWarning", "-m", "bench.run", str(job.directory.path)]
        with open(job.directory.path / "output.log", "ab") as output:
            job.process = subprocess.Popen(
                [*command, "--device", job.device],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process, which asks its runs to stop
            )
        job.state, job.started = "running", time.monotonic()

    def _collect(self, job: Job) -> None:
        assert job.process is not None
        assert job.device is not None
        code = job.process.returncode
        self.free.append(job.device)
        job.process, job.device = None, None
        if code == DONE:
            job.state = "done"
        elif code == BUSY:
            job.state, job.not_before = "waiting", time.monotonic() + BUSY_WAIT_SECONDS
        elif code == INTERRUPTED:
            job.state = "interrupted" if self.stopping else "waiting"
        else:
            job.state = "failed"
            self._note_death(job, code)
            if self.fail_fast:
                self.stop()

    def _note_death(self, job: Job, code: int) -> None:
        """A run killed from outside could not write its own status."""
        info = job.directory.read_info()
        if info.status == "running":
            reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            info.status, info.error = (
                "failed",
                f"the process ended with {reason}; see {job.directory.path / 'output.log'}",
            )
            job.directory.write_info(info)
        job.info = info


def make_jobs(folder: Path, planned: Iterable[RunInfo]) -> list[Job]:
    """A run directory for each planned run; those that are there already are kept as they are.

    Raises:
        RecordError: the folder cannot be written, or a record there is damaged.
    """
    jobs = []
    for info in planned:
        directory = RunDirectory(folder / info.name)
        if directory.exists():
            jobs.append(Job(directory, directory.read_info()))
        else:
            directory.create(info)
            jobs.append(Job(directory, info))
    return jobs


def work(queue: Queue, show: Sequence[object] = ()) -> None:
    """Run the queue to its end; the first Ctrl-C lets the runs write their checkpoints, the second kills them.

    Args:
        show: objects whose `update(queue)` is called while it works.
    """

    def on_signal(number: int, frame: object) -> None:
        queue.stop(signal.SIGKILL if queue.stopping else signal.SIGTERM)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not queue.finished:
            queue.step()
            for display in show:
                display.update(queue)  # type: ignore[attr-defined]
            time.sleep(POLL_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
