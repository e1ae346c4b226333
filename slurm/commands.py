"""What `dasbench launch`, `status` and `cancel` do with their arguments."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console, Group
from rich.live import Live
from rich.prompt import Confirm
from rich.text import Text

from bench.config import ConfigError, nearest
from bench.data.datasets import DataError, load
from bench.device.engine import choose_device
from bench.names import printable
from bench.records.directory import RecordError, RunInfo, read_records, sharing
from bench.run.estimate import EstimateError, estimate_seconds
from bench.run.phases.check import check_searches
from slurm.cluster import Cluster, load_cluster
from slurm.launch import LaunchError
from slurm.launch import cancel as cancel_jobs
from slurm.launch import launch as launch_runs
from slurm.status import Status, status, table
from slurm.witness import Answer, Tracker

WATCH_SECONDS = 5.0


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
    config = planned[0].config
    options = {"image_size": config["data"]["image_size"]} if config["data"].get("image_size") else {}
    try:
        data = load(planned[0].dataset, os.environ.get("DATA_ROOT"), **options)
    except DataError as error:
        console.print(f"{error}\nSo the cost cannot be estimated here; the nodes need the data too.", markup=False)
        return None
    check_searches(planned, data)
    console.print("Timing a few steps of each kind of run ...")
    try:
        return estimate_seconds(planned, data, choose_device("auto" if cluster.gpus else "cpu"), runs_dir)
    except EstimateError as error:
        console.print(f"{error}.", markup=False)
        return None


def show_status(console: Console, folders: Sequence[Path], tracker: Tracker, watch: bool = False) -> int:
    """Print how the runs stand; exit code 1 when one has failed or is lost."""
    tracker.ask()
    now = [status(folder) for folder in folders]
    if watch and console.is_terminal:
        now = _watch(console, now, tracker)
    else:
        console.print(table(now))
        for line in _lines(now, Answer()):
            console.print(line, soft_wrap=True)
        for line in _lines([], tracker.wait()):
            console.print(line, soft_wrap=True)
    return int(any(one.count("failed") or one.count("lost") for one in now))


def _watch(console: Console, now: list[Status], tracker: Tracker) -> list[Status]:
    """Look again and again until nothing goes on any more; returns what was seen last."""
    with Live(table(now), console=console, auto_refresh=False) as live:
        quiet = 0 if _goes_on(now) else 2
        while quiet < 2:  # between two runs of a local queue nothing is running for a moment
            live.update(Group(table(now), *_lines(now, tracker.answer())), refresh=True)
            time.sleep(WATCH_SECONDS)
            now = [status(one.folder) for one in now]
            quiet = 0 if _goes_on(now) else quiet + 1
            tracker.ask_again()
        tracker.ask()
        live.update(Group(table(now), *_lines(now, tracker.wait())), refresh=True)
    return now


def _lines(now: Sequence[Status], answer: Answer) -> list[Text]:
    """Below the table: who is silent, what cannot be read, and what MLflow lacks."""
    lines = [Text(printable(problem), style="yellow") for one in now for problem in one.problems]
    lines += [Text(printable(text)) for one in now for text in sharing(run.record.info for run in one.runs)]
    return lines + [Text(answer.text, style="" if answer.good else "yellow")] * bool(answer.text)


def _goes_on(now: Sequence[Status]) -> bool:
    return any(run.queued or run.state in ("running", "unknown") for one in now for run in one.runs)


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
