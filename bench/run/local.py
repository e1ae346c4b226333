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
from typing import IO

import torch

from bench.device.engine import choose_device
from bench.records.atomic import remove_left_overs
from bench.records.carried import make_directory
from bench.records.directory import (
    Record,
    RecordError,
    RunDirectory,
    RunInfo,
    directories,
    is_run_directory,
    read_record,
)
from bench.records.lease import Holder, LeaseHeldError, LeaseLostError, has_python_parent, hold, is_live_here, last_beat
from bench.records.repair import is_settled, settle
from bench.records.soundness import identity_fault
from bench.run.one_run import BUSY, DONE, INTERRUPTED
from bench.run.stop import held_back

BUSY_WAIT_SECONDS = 5.0
ORPHAN_SECONDS = 2.0
"""How often it is looked whether a waiting run is going on without this queue."""
PLANNED_AGAIN = "remove run.json and begun.json there: the same command writes them as planned"
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


def _output_of(path: Path) -> IO[bytes]:
    """Where a run's process writes what it says.

    Raises:
        RecordError: it cannot be written.
    """
    try:
        return open(path / "output.log", "ab")
    except OSError as error:
        raise RecordError(
            f"cannot write {path / 'output.log'}: {error.strerror}; make it writable, or remove it, and run again"
        ) from None


@dataclass
class Job:
    """A run in the queue.

    Attributes:
        state: waiting, running, done, failed, blocked or interrupted.
        rows: labels that share this run and that its record does not name yet.
        process: what this queue started. A run whose queue was killed may be running without one.
    """

    directory: RunDirectory
    info: RunInfo
    state: str = "waiting"
    device: str | None = None
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    look_again: float = 0.0
    started: float = 0.0
    rows: list[str] = field(default_factory=list)

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
            elif job.state == "running" and job.process is None and _running_here(job) is None:
                self._release(job)
            elif job.state == "waiting" and not self.stopping:
                self._adopt(job)
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
            elif job.state == "running" and not _stop_orphan(job, number):
                job.state = "waiting"

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
        try:
            with _output_of(job.directory.path) as output, held_back():
                job.process = subprocess.Popen(
                    [*command, "--device", job.device],
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches this process, which asks its runs to stop
                )
        except (RecordError, OSError) as error:  # this run cannot start; the others can
            self.free.append(job.device)
            job.state, job.device, job.info.error = "failed", None, str(error)
            if self.fail_fast:
                self.stop()
            return
        job.state, job.started = "running", time.monotonic()

    def _adopt(self, job: Job) -> None:
        """Count a run that is going on without this queue (its own was killed) against the devices."""
        if time.monotonic() < job.look_again:
            return
        job.look_again = time.monotonic() + ORPHAN_SECONDS
        if _running_here(job) is None:
            return
        with contextlib.suppress(RecordError):
            job.info = read_record(job.directory.path).info
        slot = job.info.environment.get("slot")
        if slot in self.free or (self.free and slot not in self.devices):
            job.device = slot if slot in self.free else self.free[0]
            self.free.remove(job.device)
        job.state = "running"

    def _release(self, job: Job) -> None:
        """An adopted run has ended; how, its record says."""
        if job.device is not None:
            self.free.append(job.device)
        job.state, job.device = "waiting", None
        _take_stock(job)
        if job.info.status == "failed":
            job.state = "failed"

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
        elif self.stopping and code < 0:
            self._note_kill(job)
        else:
            job.state = "failed"
            self._note_death(job, code)
            if self.fail_fast and job.state == "failed":
                self.stop()

    def _note_death(self, job: Job, code: int) -> None:
        """A run killed from outside could not write its own status; one that has a result is done all the same."""
        _take_stock(job)
        if job.state == "done" or job.info.error is not None:
            return
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        job.info.error = f"the process ended with {reason}; see {job.directory.path / 'output.log'}"
        if job.info.status == "running":
            _write_status(job, "failed")

    def _note_kill(self, job: Job) -> None:
        """A run that did not end by itself when it was told to stop: its newest checkpoint is what is left."""
        _take_stock(job)
        if job.state == "done":
            return
        job.state = "interrupted"
        if job.info.status == "running":
            _write_status(job, "interrupted")


def _write_status(job: Job, status: str) -> None:
    """Into the record of a run that is dead, unless another process has it or the disk is full."""
    job.info.status = status
    with contextlib.suppress(LeaseHeldError, LeaseLostError, RecordError), hold(job.directory.path) as lease:
        RunDirectory(job.directory.path, lease.check).write_info(job.info)


def _take_stock(job: Job) -> None:
    """Read how a job stands from its record: done when it has a valid result, failed when it cannot be read."""
    try:
        record = read_record(job.directory.path)
    except RecordError as error:
        job.state, job.info.error = "failed", str(error)
        return
    job.info = record.info
    fault = identity_fault(vars(record.info))
    if fault is not None:
        job.state, job.info.error = "failed", f"{record.path / 'run.json'}: {fault}; {PLANNED_AGAIN}"
    elif record.result is not None:
        job.state = "done"
        if not is_settled(record):
            _settle(record)


def _settle(record: Record) -> None:
    """Bring the files of a finished run in line with its result, unless somebody else has it."""
    try:
        with hold(record.path) as lease:
            remove_left_overs(record.path)
            problem = settle(record, RunDirectory(record.path, lease.check))
    except (LeaseHeldError, LeaseLostError, RecordError) as error:
        problem = str(error)
    if problem is not None:
        print(f"warning: {record.info.name}: {problem}", file=sys.stderr)


def _running_here(job: Job) -> Holder | None:
    """The live process of this machine that has a job's run, whoever started it."""
    beat = last_beat(job.directory.path)
    return beat.holder if beat is not None and beat.holder is not None and is_live_here(beat.holder) else None


def _stop_orphan(job: Job, number: int) -> bool:
    """Signal a run whose queue is gone; False for one that another queue started, which is that queue's to stop."""
    holder = _running_here(job)
    if holder is None or has_python_parent(holder.pid):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, number)
    return True


def make_jobs(folder: Path, planned: Iterable[RunInfo]) -> list[Job]:
    """A job for each planned run, and how it stands by its record, if it has one. Makes no directory.

    A record that cannot be read, or is not the run that was planned, is a failed job; its `info.error` says why.
    """
    planned = list(planned)
    places = directories(folder, planned)
    jobs = []
    for info in planned:
        job = Job(places[info.signature], info)
        if is_run_directory(job.directory.path):
            _take_stock(job)
            job.rows = [label for label in info.rows if label not in job.info.rows]
        elif info.origin:
            job.state = "done"  # elsewhere; `create_missing` brings it here
        jobs.append(job)
    return jobs


def create_missing(jobs: Iterable[Job]) -> None:
    """Make the run directories that are not there yet, and note in the others which rows share them.

    Raises:
        RecordError: a directory cannot be made.
    """
    for job in jobs:
        if job.state != "failed" and not job.directory.exists():
            make_directory(job.directory, job.info)
        elif job.state != "failed" and job.rows:
            _note_rows(job)


def _note_rows(job: Job) -> None:
    """Add the rows that share a run to its record; a run that is going on is told by the next command."""
    with contextlib.suppress(LeaseHeldError, LeaseLostError), hold(job.directory.path) as lease:
        directory = RunDirectory(job.directory.path, lease.check)
        info = directory.read_info()
        info.also += [label for label in job.rows if label not in info.rows]
        directory.write_info(info)
        job.info.also = info.also


def work(queue: Queue, show: Sequence[object] = ()) -> None:
    """Run the queue to its end; the first Ctrl-C lets the runs write their checkpoints, the second kills them.

    Args:
        show: objects whose `update(queue)` is called while it works.

    Raises:
        RecordError: a run directory cannot be made.
    """

    def on_signal(number: int, frame: object) -> None:
        queue.stop(signal.SIGKILL if queue.stopping else signal.SIGTERM)

    create_missing(queue.jobs)
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
