"""What SLURM says about jobs: squeue for those it has in memory, sacct (where there is accounting) for those before."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

ACTIVE = frozenset(
    {
        "PENDING",
        "RUNNING",
        "COMPLETING",
        "CONFIGURING",
        "SUSPENDED",
        "STOPPED",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "RESIZING",
        "SIGNALING",
        "STAGE_OUT",
        "SPECIAL_EXIT",
    }
)
"""States of jobs that will still do something. A node failure shows as NODE_FAIL only when SLURM does not rerun it."""
TIMEOUT_SECONDS = 30


class SlurmSilentError(RuntimeError):
    """SLURM is installed and does not answer."""


@dataclass(frozen=True)
class Job:
    """A job or an array task.

    Attributes:
        id: "123", or "123_4" for an array task.
        reason: why it is pending, as squeue says it.
        seconds: how long it has been running since it last started.
    """

    id: str
    name: str
    state: str
    reason: str = ""
    node: str = ""
    seconds: int = 0

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


def has_slurm() -> bool:
    return shutil.which("sbatch") is not None


def read_jobs() -> dict[str, Job]:
    """All jobs of this user that the controller remembers, by id.

    Raises:
        SlurmSilentError: slurmctld does not answer.
    """
    return parse_squeue(_run("squeue", "--me", "-h", "-r", "-t", "all", "-o", "%i|%T|%r|%N|%M|%j"))


def read_past_jobs(ids: Iterable[str]) -> dict[str, Job]:
    """Jobs by id from accounting; empty where there is none."""
    masters = sorted({job.partition("_")[0] for job in ids})
    if not masters or shutil.which("sacct") is None:
        return {}
    try:
        return parse_sacct(
            _run("sacct", "-n", "-P", "-X", "-o", "JobID,State,NodeList,JobName", "-j", ",".join(masters))
        )
    except SlurmSilentError:
        return {}


def _is_job(text: str) -> bool:
    """A job's id: 123, 123_4 for an array task, 123_[4-9] for several, 123+1 for a part of a heterogeneous job."""
    return re.fullmatch(r"\d+([_+][\d,%\[\]-]+)?", text) is not None


def parse_squeue(text: str) -> dict[str, Job]:
    """Jobs by id from lines of `%i|%T|%r|%N|%M|%j`; what a site's wrapper prints beside them is passed over."""
    jobs = {}
    for line in text.splitlines():
        parts = line.split("|", 5)
        if len(parts) < 6 or not _is_job(parts[0]):
            continue
        job, state, reason, node, time, name = parts
        jobs[job] = Job(job, name, state, "" if reason == "None" else reason, node, _seconds(time))
    return jobs


def parse_sacct(text: str) -> dict[str, Job]:
    """Jobs by id from lines of `JobID|State|NodeList|JobName`; the last line of an id is its latest run."""
    jobs = {}
    for line in text.splitlines():
        parts = line.split("|", 3)
        if len(parts) == 4 and re.fullmatch(r"\d+(_\d+)?", parts[0]):
            job, state, node, name = parts
            jobs[job] = Job(job, name, state.split()[0] if state else "UNKNOWN", node=node)
    return jobs


def largest_array() -> int:
    """Most tasks of one array on this cluster; SLURM's own default while it does not answer."""
    try:
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config"))
    except SlurmSilentError:
        return 1000
    return int(found[1]) - 1 if found else 1000


def cancel(ids: Iterable[str]) -> None:
    """Cancel jobs and array tasks.

    Raises:
        SlurmSilentError: slurmctld does not answer.
    """
    chosen = list(ids)
    for start in range(0, len(chosen), 200):
        _run("scancel", *chosen[start : start + 200])


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmSilentError(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise SlurmSilentError(f"{command[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _seconds(time: str) -> int:
    """Seconds of [days-][hours:]minutes:seconds."""
    days, _, clock = time.rpartition("-")
    try:
        total = 0
        for part in clock.split(":"):
            total = total * 60 + int(part)
        return total + 86400 * int(days or 0)
    except ValueError:
        return 0
