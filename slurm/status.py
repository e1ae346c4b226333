"""How every run stands, from three witnesses: its records, its heartbeat and SLURM. Works without SLURM too.

The fourth, MLflow, says nothing about a run that the records do not know better: see `slurm.witness`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from bench.names import printable
from bench.records.directory import Record, read_records
from bench.records.lease import LEASE_SECONDS, last_beat
from bench.run.progress import duration, has_epochs, read_progress
from slurm import queue
from slurm.queue import Job, SlurmSilentError
from slurm.submissions import Submitted, read_submissions, submitted_runs

START_SECONDS = 600.0
"""How long a job may take from its start to the run's first heartbeat before the run counts as lost."""
STATES = ("pending", "running", "lost", "failed", "done", "unknown")
STYLE = {"done": "green", "failed": "red", "lost": "red", "running": "cyan", "unknown": "yellow"}
ERROR_LINES = 3
DETAILS = ("job", "epoch", "images/s", "left")
"""Columns of the table that are there when a run has something in them."""
WIDEST_NAME = 52
"""Characters of a run's name that are not broken: what is left of 80 holds its state and the beginning of a note."""


@dataclass(frozen=True)
class RunStatus:
    """How one run stands.

    Attributes:
        state: one of STATES. "lost": it was started or submitted, has ended without a result, and nothing will run it
            again by itself. "unknown": SLURM does not answer, and only SLURM knows.
        queued: SLURM will run it, or it is running: launching again leaves it alone.
        note: what a person should know: why it waits, where it runs, how it failed.
        submitted: its latest submission; None for a run that was never submitted to SLURM.
    """

    record: Record
    state: str
    queued: bool
    note: str = ""
    submitted: Submitted | None = None
    progress: Mapping[str, Any] | None = None

    @property
    def job(self) -> str | None:
        """Its id in SLURM."""
        return self.submitted.job if self.submitted else None

    @property
    def cells(self) -> tuple[str, str, str]:
        """Epoch, images a second and time left of a running run."""
        now = self.progress
        if self.state != "running" or not now or not has_epochs(now):
            return "", "", ""
        epoch = f"{min(now['epoch'] + 1, now['epochs']):.0f}/{now['epochs']:.0f}"
        return epoch, f"{now.get('images_per_second') or 0:.0f}", duration(now.get("seconds_left"))


@dataclass(frozen=True)
class Status:
    """How an experiment's folder stands.

    Attributes:
        problems: records that cannot be read, and a SLURM that is silent.
        slurm_answers: false when something was submitted and SLURM does not say what became of it.
    """

    folder: Path
    runs: list[RunStatus]
    problems: list[str]
    slurm_answers: bool = True

    def count(self, state: str) -> int:
        return sum(run.state == state for run in self.runs)


def status(folder: Path) -> Status:
    """How every run of an experiment's folder stands now.

    Raises:
        RecordError: a note of what was submitted is damaged.
    """
    submissions = read_submissions(folder)
    jobs: dict[str, Job] | None = {}
    silent: list[str] = []
    if submissions:
        try:
            if not queue.has_slurm():
                raise SlurmSilentError("there is no SLURM on this machine (no sbatch)")
            jobs = queue.read_jobs()
        except SlurmSilentError as error:
            jobs, silent = None, [f"SLURM does not answer ({error}); what is waiting cannot be told from what is lost"]
    # Records after the queue: a run that ends in between is seen as done and not as lost.
    submitted = submitted_runs(submissions, jobs or {})
    if jobs is not None:
        past = queue.read_past_jobs(own.job for own in submitted.values() if own.job not in jobs)
        jobs = {**past, **jobs}
    records, problems = read_records(folder)
    runs = [judge(record, submitted.get(record.info.signature), jobs) for record in records]
    return Status(folder, _name_blocked(runs), [*problems, *silent], slurm_answers=not silent)


def judge(record: Record, own: Submitted | None, jobs: Mapping[str, Job] | None) -> RunStatus:
    """How one run stands.

    Args:
        own: its latest submission; None for a run that was never submitted to SLURM.
        jobs: what SLURM says, by job id; None when it does not answer.
    """
    job = jobs.get(own.job) if own and jobs is not None else None
    name = own.job if own else None
    progress = read_progress(record.path) if record.result is None else None

    def answer(state: str, note: str = "", queued: bool = False) -> RunStatus:
        return RunStatus(record, state, queued, note, own, progress)

    if record.result is not None:
        return answer("done")
    beat = last_beat(record.path)
    requeued = job is not None and job.state in ("PENDING", "REQUEUED")
    # When SLURM has put the job back, a heart that has just stopped does not count; one that beats on does.
    if beat is not None and beat.age <= (LEASE_SECONDS / 3 if requeued else LEASE_SECONDS):
        where = f"on {beat.holder.host}" if beat.holder else ""
        return answer("running", where + (", though SLURM has put it back into the queue" if requeued else ""), True)
    info = record.info
    if info.status == "failed" and (own is None or (info.finished or 0) >= own.time):
        return answer("failed", error_lines(record))
    if own is not None and jobs is None:
        return answer("unknown", f"job {name}; SLURM does not answer", True)
    if own is not None and job is not None and job.active:
        return _queued(answer, job, own)
    if info.status == "running" or (own is not None and info.status != "interrupted"):
        ended = f"job {name} ended: {job.state}" if job else f"job {name} has ended" if own else "its process is gone"
        return answer("lost", f"{ended}; {_reached(progress)}launch again to continue")
    if info.status == "interrupted":
        return answer("pending", f"interrupted; {_reached(progress)}launch or run again to continue")
    return answer("pending", "not started")


def _queued(answer: Any, job: Job, own: Submitted) -> RunStatus:
    if job.state == "PENDING":
        return answer("pending", job.reason or "waiting", True)
    if job.state == "RUNNING" and own.per_task > 1:
        return answer("pending", f"waits for its turn in job {job.id}, which is running", True)
    if job.state == "RUNNING" and job.seconds > START_SECONDS:
        return answer(
            "lost", f"SLURM says running on {job.node} for {duration(job.seconds)}, but nothing is heard of it", True
        )
    if job.state in ("RUNNING", "CONFIGURING"):
        return answer("running", f"starting on {job.node}", True)
    return answer("pending", job.state.lower().replace("_", " "), True)


def _reached(progress: Mapping[str, Any] | None) -> str:
    return f"it had reached epoch {progress['epoch'] + 1:.0f}; " if progress and has_epochs(progress) else ""


def _name_blocked(runs: list[RunStatus]) -> list[RunStatus]:
    """For runs that nothing will start: say so when it is because of a run they need."""
    by_signature = {run.record.info.signature: run for run in runs}
    result = []
    for run in runs:
        needed = [by_signature[need] for need in run.record.info.needs if need in by_signature]
        stuck = [other for other in needed if other.state in ("failed", "lost") and not other.queued]
        if stuck and run.state in ("lost", "pending") and run.record.info.started is None:
            note = f"needs {stuck[0].record.info.name}, which is {stuck[0].state}"
            run = replace(run, state="pending", note=note)
        result.append(run)
    return result


def error_lines(record: Record) -> str:
    """The last lines of a failed run's error."""
    try:
        lines = (record.path / "error.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        return record.info.error or "no message"
    return "\n".join(line.strip() for line in lines[-ERROR_LINES:])


def table(statuses: Iterable[Status]) -> Table:
    """For a terminal: one line a run, the finished ones counted in the title."""
    statuses = list(statuses)
    counts = {state: sum(one.count(state) for one in statuses) for state in STATES}
    title = ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "no runs"
    shown = Table(
        title=f"{title}   ({time.strftime('%H:%M:%S')})", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    if counts["done"] == sum(counts.values()):
        shown.add_column("experiment")
        shown.add_column("done", justify="right")
        for one in statuses:
            shown.add_row(one.folder.name, str(one.count("done")))
        return shown
    waiting = [(one, [run for run in one.runs if run.state != "done"]) for one in statuses]
    lines = [(run, (run.job or "", *run.cells)) for _, runs in waiting for run in runs]
    used = [n for n in range(len(DETAILS)) if any(details[n] for _, details in lines)]
    longest = max(len(printable(run.record.info.name)) for run, _ in lines)
    shown.add_column("run", overflow="fold", min_width=min(longest, WIDEST_NAME))
    shown.add_column("state", no_wrap=True)
    for n in used:
        shown.add_column(DETAILS[n], justify="left" if n == 0 else "right", no_wrap=True)
    shown.add_column("")
    for one, runs in waiting:
        if runs and len(statuses) > 1:
            shown.add_row(f"[bold]{escape(printable(one.folder.name))}[/]")
        for run in runs:
            details = (run.job or "", *run.cells)
            style = STYLE.get(run.state, "")
            shown.add_row(
                escape(printable(run.record.info.name)),
                f"[{style}]{run.state}[/]" if style else run.state,
                *(escape(details[n]) for n in used),
                escape(printable(run.note)),
            )
    return shown
