"""The runs of an experiment on this machine as a queue sees them, and how each stands by its record."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

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
from bench.records.lease import Holder, LeaseHeldError, LeaseLostError, hold, is_live_here, last_beat
from bench.records.repair import is_settled, settle
from bench.records.soundness import identity_fault
from bench.run.processes import Process

PLANNED_AGAIN = "remove run.json and begun.json there: the same command writes them as planned"


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
    process: Process | None = None
    not_before: float = 0.0
    look_again: float = 0.0
    started: float = 0.0
    rows: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")


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
            take_stock(job)
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


def write_status(job: Job, status: str) -> None:
    """Into the record of a run that is dead, unless another process has it or the disk is full."""
    job.info.status = status
    with contextlib.suppress(LeaseHeldError, LeaseLostError, RecordError), hold(job.directory.path) as lease:
        RunDirectory(job.directory.path, lease.check).write_info(job.info)


def take_stock(job: Job) -> None:
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


def running_here(job: Job) -> Holder | None:
    """The live process of this machine that has a job's run, whoever started it."""
    beat = last_beat(job.directory.path)
    return beat.holder if beat is not None and beat.holder is not None and is_live_here(beat.holder) else None
