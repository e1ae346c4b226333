"""Run an experiment on this machine: a queue over processes, as many at once as there are devices."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from bench.device.engine import choose_device
from bench.records.directory import RecordError, read_record
from bench.records.lease import has_python_parent
from bench.run.jobs import Job, create_missing, running_here, take_stock, write_status
from bench.run.one_run import BUSY, DONE, INTERRUPTED
from bench.run.processes import UNSEEN, Fresh, Order, Processes, output_of
from bench.run.stop import held_back

BUSY_WAIT_SECONDS = 5.0
ORPHAN_SECONDS = 2.0
"""How often it is looked whether a waiting run is going on without this queue."""
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
class Queue:
    """Runs with what they need of each other, and the devices and processes to run them."""

    jobs: list[Job]
    devices: list[str]
    fail_fast: bool = False
    processes: Processes = field(default_factory=Fresh)
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
            elif job.state == "running" and job.process is None and running_here(job) is None:
                self._release(job)
            elif job.state == "waiting" and not self.stopping:
                self._adopt(job)
        for job in self.jobs:
            if job.state == "waiting" and any(self._of(need) in ("failed", "blocked") for need in job.info.needs):
                job.state = "blocked"
        if not self._may_start() or not self.processes.ready():
            return
        for job in self.jobs:
            if not self._may_start():
                return
            ready = all(self._of(need) == "done" for need in job.info.needs)
            if job.state == "waiting" and ready and time.monotonic() >= job.not_before:
                self._start(job)

    def _may_start(self) -> bool:
        return bool(self.free) and not self.stopping

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
        order = Order(job.directory.path, job.device, job.info.config["threads"])
        try:
            with output_of(job.directory.path) as output, held_back():
                job.process = self.processes.start(order, output)
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
        if running_here(job) is None:
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
        job.device = None
        _as_recorded(job)

    def _collect(self, job: Job) -> None:
        assert job.process is not None
        assert job.device is not None
        code = job.process.returncode
        assert code is not None
        self.free.append(job.device)
        job.process, job.device = None, None
        if code == DONE:
            job.state = "done"
        elif code == BUSY:
            job.state, job.not_before = "waiting", time.monotonic() + BUSY_WAIT_SECONDS
        elif code == INTERRUPTED:
            job.state = "interrupted" if self.stopping else "waiting"
        elif code == UNSEEN:
            _as_recorded(job)
        elif self.stopping and code < 0:
            self._note_kill(job)
        else:
            job.state = "failed"
            self._note_death(job, code)
            if self.fail_fast and job.state == "failed":
                self.stop()

    def _note_death(self, job: Job, code: int) -> None:
        """A run killed from outside could not write its own status; one that has a result is done all the same."""
        take_stock(job)
        if job.state == "done" or job.info.error is not None:
            return
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        job.info.error = f"the process ended with {reason}; see {job.directory.path / 'output.log'}"
        if job.info.status == "running":
            write_status(job, "failed")

    def _note_kill(self, job: Job) -> None:
        """A run that did not end by itself when it was told to stop: its newest checkpoint is what is left."""
        take_stock(job)
        if job.state == "done":
            return
        job.state = "interrupted"
        if job.info.status == "running":
            write_status(job, "interrupted")


def _as_recorded(job: Job) -> None:
    """How a run stands that ended unseen; one that neither ended well nor failed goes on from its checkpoint."""
    job.state = "waiting"
    take_stock(job)
    if job.info.status == "failed":
        job.state = "failed"


def _stop_orphan(job: Job, number: int) -> bool:
    """Signal a run whose queue is gone; False for one that another queue started, which is that queue's to stop."""
    holder = running_here(job)
    if holder is None or has_python_parent(holder.pid):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, number)
    return True


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
        queue.processes.close()
        for number, handler in before.items():
            signal.signal(number, handler)
