"""Launch an experiment on a SLURM cluster, through submitit: arrays that wait for each other, only what is missing."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit

from bench.progress import duration
from bench.records import RunDirectory, RunInfo
from slurm import queue
from slurm.arrays import Array, Place, arrange
from slurm.cluster import Cluster, minutes
from slurm.queue import SlurmSilentError
from slurm.snapshot import take_snapshot
from slurm.status import Status, status
from slurm.submissions import FOLDER_NAME, Submission, SubmittedArray, read_submissions, submitted_runs
from slurm.task import RunTask

KEPT_VARIABLES = ("DATA_ROOT", "MLFLOW_TRACKING_URI", "DASBENCH_CALIBRATION")
"""Handed on explicitly: a cluster may not pass the submitting shell's environment to jobs."""


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
        planned: the runs of `bench.experiment.plan`.
        seconds: estimated seconds of each run by signature, where they are known.
        dry_run: submit nothing and write nothing; the answer holds the exact sbatch text.
        confirm: asked, with a text that says how much, when it is more than the profile's `confirm_above`.

    Raises:
        LaunchError: SLURM did not take a job. Launching again submits the rest.
        RecordError: the folder cannot be written.
    """
    folder = folder.absolute()
    if dry_run:
        return _plan(folder, planned, cluster, seconds, write_texts=True)[0]
    if not queue.has_slurm():
        raise LaunchError("there is no SLURM on this machine (no sbatch); launch from a login node of the cluster")
    with _one_launch(folder):
        for info in planned:
            directory = RunDirectory(folder / info.name)
            if not directory.exists():
                directory.create(info)
        result, queued = _plan(folder, planned, cluster, seconds)
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


def cancel(folder: Path, only: Sequence[str] = ()) -> list[str]:
    """Cancel what is queued or running of an experiment's folder; their checkpoints stay. Returns the job ids.

    Args:
        only: names of run directories; all by default.

    Raises:
        LaunchError: SLURM does not answer.
    """
    try:
        jobs = queue.read_jobs() if queue.has_slurm() else {}
        own = submitted_runs(read_submissions(folder), jobs)
        chosen = {
            own[run.record.info.signature].job
            for run in status(folder).runs
            if run.record.info.signature in own and (not only or run.record.info.name in only)
        }
        active = sorted(name for name in chosen if name in jobs and jobs[name].active)
        queue.cancel(active)
    except SlurmSilentError as error:
        raise LaunchError(f"SLURM does not answer ({error}); nothing is known to be cancelled, try again") from None
    return active


def _plan(
    folder: Path,
    planned: Sequence[RunInfo],
    cluster: Cluster,
    seconds: Mapping[str, float] | None,
    write_texts: bool = False,
) -> tuple[Launch, dict[str, Place]]:
    """What to submit, and where the runs are that are queued already."""
    now = status(folder) if folder.exists() else Status(folder, [], [])
    if now.count("unknown"):
        raise LaunchError("SLURM does not answer, so runs that wait cannot be told from lost ones; try again later")
    there = {run.record.info.signature: run for run in now.runs}
    skipped: dict[str, int] = {}
    missing = []
    for info in planned:
        run = there.get(info.signature)
        if run is not None and (run.state == "done" or run.queued):
            skipped[run.state] = skipped.get(run.state, 0) + 1
        else:
            missing.append(info)
    submissions = read_submissions(folder)
    jobs = queue.read_jobs() if submissions and queue.has_slurm() else {}
    submitted = submitted_runs(submissions, jobs)
    places = {name: own.place for name, own in submitted.items() if name in there and there[name].queued}
    per_task = {phase: cluster.for_phase(phase).runs_per_task for phase in ("search", "transform", "train")}
    largest = queue.largest_array() if queue.has_slurm() else 1000
    arrays = arrange(missing, places, per_task, largest)
    result = Launch(arrays, skipped=skipped)
    for array in arrays:
        own = cluster.for_phase(array.phase)
        devices = own.nodes * max(1, own.gpus)
        result.device_hours_limit += devices * len(array.tasks) * minutes(own.time) / 60
    if seconds is not None:
        result.device_hours = sum(seconds.get(info.signature, 0.0) for info in missing) / 3600
    if write_texts:
        code = folder / FOLDER_NAME / "code-at-submission"
        ids: dict[int | str, str] = {number: f"ID_OF_ARRAY_{number}" for number in range(len(arrays))}
        for number, array in enumerate(arrays):
            name = job_name(folder, array, "TOKEN", number)
            executor = make_executor(folder, cluster, array, name, array.dependency(ids), code, "COMMIT")
            result.texts.append(sbatch_text(executor, len(array.tasks)))
    return result, places


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
    places = tuple((str(folder / info.name), info.signature) for info in runs)
    return RunTask(places, str(code), cluster.signal_seconds, cluster.sync)


def job_name(folder: Path, array: Array, token: str, number: int) -> str:
    return f"{folder.name}-{array.phase}-{token}-{number}"


class Executor(submitit.SlurmExecutor):
    """submitit's, also where there is no SLURM: to print what would be submitted."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def make_executor(
    folder: Path, cluster: Cluster, array: Array, name: str, dependency: str | None, code: Path, commit: str
) -> Executor:
    """A submitit executor for one array."""
    own = cluster.for_phase(array.phase)
    python = own.python or shlex.quote(sys.executable)
    hold = shlex.quote(str(code / "slurm" / "hold_signals.py"))
    executor = Executor(folder / FOLDER_NAME / "jobs" / "%j", python=f"{python} -S {hold} {python}")
    executor.update_parameters(
        job_name=name,
        partition=own.partition,
        account=own.account,
        qos=own.qos,
        constraint=own.constraint,
        nodes=own.nodes,
        ntasks_per_node=own.processes,
        gpus_per_node=own.gpus or None,
        cpus_per_task=own.cpus,
        mem=own.mem,
        time=minutes(own.time),
        signal_delay_s=own.signal_seconds,
        array_parallelism=own.array_parallelism,
        # a process that dies must not leave the others waiting for it
        srun_args=["--kill-on-bad-exit=1"] if own.nodes * own.processes > 1 else None,
        wckey=own.wckey,
        dependency=dependency,
        setup=setup_lines(own, array, code, commit),
        additional_parameters=additional_parameters(own, dependency),
    )
    return executor


def additional_parameters(cluster: Cluster, dependency: str | None) -> dict[str, Any]:
    own: dict[str, Any] = {"requeue": True}
    if dependency:
        own["kill-on-invalid-dep"] = "yes"  # or it would wait for ever for a run that failed
    return own | cluster.sbatch


def setup_lines(cluster: Cluster, array: Array, code: Path, commit: str) -> list[str]:
    """Shell lines before the run: the profile's, then ours, so that a module cannot hide the snapshot."""
    threads = max(info.config["threads"] for info in array.runs)
    variables = {
        "PYTHONPATH": str(code),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "DASBENCH_COMMIT": commit,
        "DASBENCH_COMMAND": " ".join(["dasbench", *sys.argv[1:]]),
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
    }
    if "DATA_ROOT" in variables:
        variables["DATA_ROOT"] = str(Path(variables["DATA_ROOT"]).absolute())
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value]
    return [*cluster.setup, *exports]


def sbatch_text(executor: Executor, tasks: int) -> str:
    """The file that submitit gives to sbatch."""
    if tasks > 1:
        executor.parameters["map_count"] = tasks
    text = executor._make_submission_file_text(executor._submitit_command_str, "")
    executor.parameters.pop("map_count", None)
    return str(text)


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
