"""What `dasbench launch` and `cancel` do with their arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.prompt import Confirm

from bench.config import ConfigError, nearest
from bench.data.images import DataError
from bench.device.engine import choose_device
from bench.records.directory import RecordError, RunInfo, read_records
from bench.run.estimate import EstimateError, estimate_seconds
from bench.run.images import images_of
from bench.run.phases.check import check_searches
from slurm.cluster import Cluster, load_cluster
from slurm.launch import LaunchError
from slurm.launch import cancel as cancel_jobs
from slurm.launch import launch as launch_runs


def launch(
    console: Console,
    folder: Path,
    planned: Sequence[RunInfo],
    cluster: str,
    *,
    seconds: Mapping[str, float] | None = None,
    dry_run: bool = False,
    yes: bool = False,
) -> int:
    """Submit what is missing; in a dry run print the sbatch texts.

    Args:
        cluster: name or path of a profile.
        seconds: estimated seconds of each run by signature; timed here if not given.
        yes: do not ask, whatever it costs.

    Raises:
        ConfigError: the profile cannot be used.
        RecordError: SLURM did not take a job, or the folder cannot be written.
    """
    profile = load_cluster(cluster)
    if seconds is None:
        seconds = estimate(console, folder.parent, planned, profile)

    def confirm(text: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            console.print(f"{text} Give --yes to submit it.", markup=False)
            return False
        return Confirm.ask(f"{text} Go on?", console=console, default=False)

    try:
        result = launch_runs(folder, planned, profile, seconds=seconds, dry_run=dry_run, confirm=confirm)
    except LaunchError as error:
        raise RecordError(str(error)) from None
    for text in result.texts if dry_run else []:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        console.rule()
    left_alone = ", ".join(f"{number} {state}" for state, number in result.skipped.items())
    console.print(f"left alone: {left_alone}" if left_alone else "nothing was there before", markup=False)
    if not result.arrays:
        console.print("Nothing to submit.")
        return 0
    console.print(result.describe(profile), markup=False)
    if result.refused:
        console.print("Nothing was submitted.")
        return 1
    if not dry_run:
        console.print(f"Submitted {result.runs} runs as jobs {', '.join(result.jobs)}.")
        console.print("Follow them: dasbench status --watch")
    return 0


def estimate(
    console: Console, runs_dir: Path, planned: Sequence[RunInfo], cluster: Cluster
) -> Mapping[str, float] | None:
    """Seconds of each run, from a few steps timed on this machine; None, with the reason, where that says nothing."""
    if cluster.gpus and not torch.cuda.is_available():
        console.print("No GPU here to time a few steps on: only an upper limit of the cost is known.")
        return None
    if not planned or not runs_dir.exists():
        return None
    try:
        data = images_of(planned, runs_dir)
    except DataError as error:
        console.print(f"{error}\nSo the cost cannot be estimated here; the nodes need the data too.", markup=False)
        return None
    if data is not None:
        check_searches(planned, data)
    console.print("Timing a few steps of each kind of run ...")
    try:
        return estimate_seconds(planned, data, choose_device("auto" if cluster.gpus else "cpu"), runs_dir)
    except EstimateError as error:
        console.print(f"{error}.", markup=False)
        return None


def cancel(console: Console, folders: Sequence[Path], rows: Sequence[str] = ()) -> int:
    """Cancel what is queued or running, of some rows or of all; checkpoints stay.

    Raises:
        ConfigError: there is no such row.
        RecordError: SLURM does not answer.
    """
    there = sorted({row for folder in folders for record in read_records(folder)[0] for row in record.info.rows})
    for row in rows:
        if row not in there:
            raise ConfigError(f"no runs of '{row}' in {', '.join(map(str, folders))}" + nearest(row, there))
    try:
        jobs = [job for folder in folders for job in cancel_jobs(folder, rows)]
    except LaunchError as error:
        raise RecordError(str(error)) from None
    text = f"Cancelled {len(jobs)} jobs; launching again continues from their checkpoints."
    console.print(text if jobs else "Nothing is queued or running.")
    return 0
