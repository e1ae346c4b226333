"""Launch an experiment on a SLURM cluster, through submitit: arrays that wait for each other, only what is missing."""

from __future__ import annotations

import fcntl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import submitit

from bench.records.carried import make_directory
from bench.records.directory import RunInfo, directories
from bench.records.moved import note_where_images_are
from bench.records.run_info import PHASES
from bench.run.progress import duration
from slurm import queue
from slurm.arrays import Array, Place, arrange
from slurm.cluster import Cluster, minutes
from slurm.queue import SlurmSilentError
from slurm.sbatch import job_name, make_executor, sbatch_text
from slurm.snapshot import take_snapshot
from slurm.status import Status, status
from slurm.submissions import FOLDER_NAME, Submission, SubmittedArray
from slurm.task import RunTask

_SILENT = "SLURM does not answer, so runs that wait cannot be told from lost ones; try again later"


class LaunchError(RuntimeError):
    """SLURM did not take a job, or there is no SLURM; the message says what was submitted and what to do."""


@dataclass
class Launch:
    """What a launch did or, in a dry run, would do.

    Attributes:
        texts: the sbatch file of each array.
        arrays: what was or would be submitted.
        skipped: runs that are done, by state ("done", "running", "pending"): left alone.
        device_hours: estimate; None where nothing is known.
        device_hours_limit: the most that one round of these jobs can take: time limit times devices.
    """

    arrays: list[Array]
    texts: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    device_hours: float | None = None
    device_hours_limit: float = 0.0
    refused: bool = False

    @property
    def runs(self) -> int:
        return sum(len(array.runs) for array in self.arrays)

    def describe(self, cluster: Cluster) -> str:
        """A line for each array: runs, resources and limits; and what all of it may cost."""
        lines = []
        for array in self.arrays:
            own = cluster.for_phase(array.phase)
            lines.append(
                f"{array.phase:9} {len(array.runs):4} runs in {len(array.tasks):4} tasks; each: {own.nodes} node, "
                f"{own.gpus} GPU, {own.cpus} CPU, {own.mem}, limit {duration(60 * minutes(own.time))}; "
                f"at most {min(own.array_parallelism, len(array.tasks))} at once"
            )
        cost = "" if self.device_hours is None else f"about {self.device_hours:.1f} device-hours; "
        lines.append(f"{cost}at most {self.device_hours_limit:.1f} device-hours before jobs requeue themselves")
        return "\n".join(lines)


def launch(
    folder: Path,
    planned: Sequence[RunInfo],
    cluster: Cluster,
    *,
    seconds: Mapping[str, float] | None = None,
    dry_run: bool = False,
    confirm: Callable[[str], bool] = lambda text: True,
) -> Launch:
    """Submit what is missing, failed or lost of the planned runs; what is done, queued or running is left alone.

    Args:
        folder: RUNS_DIR/<experiment>-<profile>.
        planned: the runs of `bench.plan.runs.plan`.
        seconds: estimated seconds of each run by signature, where they are known.
        dry_run: submit nothing and write nothing; the answer holds the exact sbatch text.
        confirm: asked, with a text that says how much, when it is more than the profile's `confirm_above`.

    Raises:
        LaunchError: SLURM did not take a job. Launching again submits the rest.
        RecordError: the folder cannot be written.
    """
    folder = folder.absolute()
    if dry_run:
        result, _ = _plan(_look(folder), planned, cluster, seconds)
        result.texts = _dry_texts(folder, result.arrays, cluster)
        return result
    if not queue.has_slurm():
        raise LaunchError("there is no SLURM on this machine (no sbatch); launch from a login node of the cluster")
    with _one_launch(folder):
        for signature, directory in directories(folder, planned).items():
            if not directory.exists():
                make_directory(directory, next(info for info in planned if info.signature == signature))
        note_where_images_are(folder, planned)
        now = _look(folder)
        if not now.slurm_answers:  # what a killed launch submitted is known to SLURM only
            raise LaunchError(_SILENT)
        result, queued = _plan(now, planned, cluster, seconds)
        hours = result.device_hours if result.device_hours is not None else result.device_hours_limit
        if hours > cluster.confirm_above and not confirm(
            f"This submits {result.runs} runs for {'about' if result.device_hours is not None else 'at most'} "
            f"{hours:.0f} device-hours (the profile's confirm_above is {cluster.confirm_above:g})."
        ):
            result.refused = True
            return result
        if result.arrays:
            _submit(folder, result, queued, cluster)
    return result


def cancel(folder: Path, rows: Sequence[str] = ()) -> list[str]:
    """Cancel what is queued or running of an experiment's folder; their checkpoints stay. Returns the job ids.

    Args:
        rows: only the runs of these rows. A task that does several runs is cancelled whole.

    Raises:
        LaunchError: SLURM does not answer.
    """
    now = status(folder)
    chosen = {run.job for run in now.runs if run.job and (not rows or set(rows) & set(run.record.info.rows))}
    if not chosen and now.slurm_answers:
        return []
    try:
        if not queue.has_slurm():
            raise SlurmSilentError("there is no sbatch on this machine")
        jobs = queue.read_jobs()
        active = sorted(name for name in chosen if name in jobs and jobs[name].active)
        queue.cancel(active)
    except SlurmSilentError as error:
        raise LaunchError(f"SLURM does not answer ({error}); nothing is known to be cancelled, try again") from None
    return active


def _look(folder: Path) -> Status:
    return status(folder) if folder.exists() else Status(folder, [], [])


def _plan(
    now: Status, planned: Sequence[RunInfo], cluster: Cluster, seconds: Mapping[str, float] | None
) -> tuple[Launch, dict[str, Place]]:
    """What to submit, and where the runs are that are queued already."""
    if now.count("unknown"):
        raise LaunchError(_SILENT)
    there = {run.record.info.signature: run for run in now.runs}
    skipped: dict[str, int] = {}
    missing = []
    for info in planned:
        run = there.get(info.signature)
        if run is not None and (run.state == "done" or run.queued):
            skipped[run.state] = skipped.get(run.state, 0) + 1
        elif info.origin:  # done in another experiment, and brought here by a launch that is no dry run
            skipped["done"] = skipped.get("done", 0) + 1
        else:
            missing.append(info)
    places = {name: run.submitted.place for name, run in there.items() if run.queued and run.submitted}
    per_task = {phase: cluster.for_phase(phase).runs_per_task for phase in PHASES}
    largest = queue.largest_array() if queue.has_slurm() else 1000
    result = Launch(arrange(missing, places, per_task, largest), skipped=skipped)
    for array in result.arrays:
        own = cluster.for_phase(array.phase)
        devices = own.nodes * max(1, own.gpus)
        result.device_hours_limit += devices * len(array.tasks) * minutes(own.time) / 60
    if seconds is not None:
        result.device_hours = sum(seconds.get(info.signature, 0.0) for info in missing) / 3600
    return result, places


def _dry_texts(folder: Path, arrays: Sequence[Array], cluster: Cluster) -> list[str]:
    """What sbatch would be given, with words in place of what only a submission knows."""
    code = folder / FOLDER_NAME / "code-at-submission"
    ids: dict[int | str, str] = {number: f"ID_OF_ARRAY_{number}" for number in range(len(arrays))}
    texts = []
    for number, array in enumerate(arrays):
        name = job_name(folder, array, "TOKEN", number)
        executor = make_executor(folder, cluster, array, name, array.dependency(ids), code, "COMMIT")
        texts.append(sbatch_text(executor, len(array.tasks)))
    return texts


def _submit(folder: Path, result: Launch, queued: Mapping[str, Place], cluster: Cluster) -> None:
    code, commit = take_snapshot(folder / FOLDER_NAME)
    token = uuid.uuid4().hex[:8]
    note = Submission(token, cluster.name, commit, time.time())
    for number, array in enumerate(result.arrays):
        signatures = [info.signature for info in array.runs]
        note.arrays.append(
            SubmittedArray(job_name(folder, array, token, number), array.phase, signatures, array.per_task)
        )
    ids: dict[int | str, str] = {}
    for number, (array, noted) in enumerate(zip(result.arrays, note.arrays, strict=True)):
        note.write(folder)
        executor = make_executor(folder, cluster, array, noted.name, array.dependency(ids), code, commit)
        own = cluster.for_phase(array.phase)
        try:
            with executor.batch():
                jobs = [executor.submit(_payload(folder, runs, code, own)) for runs in array.tasks]
        except submitit.core.utils.FailedJobError as error:
            raise LaunchError(
                f"SLURM did not take the {array.phase} array: {_last_line(error)}. {number} of {len(result.arrays)} "
                "arrays are submitted; correct the profile or try again: launching again submits the rest"
            ) from None
        noted.job = ids[number] = jobs[0].job_id.partition("_")[0]
        result.jobs.append(noted.job)
        result.texts.append(_submitted_text(folder, noted.job))
    note.write(folder)


def _submitted_text(folder: Path, job: str) -> str:
    """What sbatch was given."""
    return (folder / FOLDER_NAME / "jobs" / job / f"{job}_submission.sh").read_text()


def _payload(folder: Path, runs: Sequence[RunInfo], code: Path, cluster: Cluster) -> RunTask:
    places = tuple((str(directory.path), name) for name, directory in directories(folder, runs).items())
    return RunTask(places, str(code), cluster.signal_seconds, cluster.sync)


@contextmanager
def _one_launch(folder: Path) -> Iterator[None]:
    """Two launches of one experiment at once would submit the same runs twice."""
    (folder / FOLDER_NAME).mkdir(parents=True, exist_ok=True)
    with open(folder / FOLDER_NAME / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(f"another launch of {folder.name} is going on; wait for it to end") from None
        yield


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
