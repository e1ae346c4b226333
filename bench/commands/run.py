"""`dasbench run`: plan an experiment, run what is missing on this machine, report it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from bench.commands.arguments import add_data_root, add_device, add_planned, add_tracking, whole
from bench.commands.output import console, print_report, say
from bench.commands.selection import choose_profile, planned_runs, records_folder
from bench.names import printable

if TYPE_CHECKING:
    from bench.data.images import ImageData
    from bench.records.directory import RunInfo
    from bench.run.jobs import Job
    from bench.run.local import Queue

HELP = "run an experiment on this machine; again: only what is missing or failed"
REPORTED = ("train", "inherit", "lookup", "count", "compare")
"""Phases whose results are lines of a table."""
STOPPED, TRACKER_DOWN = 130, 3
"""Exit codes: stopped by a person; everything is done and recorded but MLflow could not be told."""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_planned(parser)
    add_device(parser)
    parser.add_argument(
        "--jobs", type=whole(1, 4096), help="runs at once (default: one a GPU, or as many as the CPU's cores allow)"
    )
    add_data_root(parser)
    add_tracking(parser)
    parser.add_argument(
        "--no-tracking", action="store_true", help="write records only; `dasbench sync` can follow later"
    )
    parser.add_argument("--fail-fast", action="store_true", help="stop everything at the first failure")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and the estimate of time, run nothing")


def run(options: argparse.Namespace) -> int:
    """Plan, check the data, run what is missing, mirror to MLflow, print the table."""
    from bench.commands import again

    known = again.before(options)
    if known is not None:
        return print_again(*known)
    return whole_way(options)


def whole_way(options: argparse.Namespace) -> int:
    """As `run`, whatever was done before."""
    from bench.commands.again import note, records_digest, report_folder
    from bench.commands.mirroring import Tracking
    from bench.device.calibration import calibrate
    from bench.device.engine import choose_device, emulated
    from bench.plan.experiment import load_experiment
    from bench.records.moved import note_where_images_are
    from bench.run.check import check_packages
    from bench.run.jobs import create_missing, make_jobs
    from bench.run.local import Queue, devices_for, work
    from bench.run.progress import display
    from bench.run.warm import processes_for

    experiment = load_experiment(options.experiment)
    profile_name = choose_profile(experiment, options.profile)
    profile = experiment.profile(profile_name)
    planned, left_out = planned_runs(options, experiment, profile_name)
    check_packages(planned)
    devices = devices_for(options.device, profile.threads, options.jobs)
    planned, data = images_for(planned, profile.optional_images, options.runs_dir, left_out)

    folder = records_folder(options.runs_dir, experiment.name, profile_name)
    jobs = make_jobs(folder, planned)
    todo = [job.info for job in jobs if job.state != "done"]
    queue = Queue(jobs, devices, options.fail_fast, processes_for(todo, devices))
    console.print(f"{experiment.name}, profile {profile_name}: {profile.description}", markup=False)
    print_plan(planned, todo)
    for sentence in left_out:
        console.print(sentence, markup=False)
    console.print(f"{len(devices)} at once on {', '.join(sorted(set(devices)))}; records in {folder}", markup=False)
    if todo:
        slow = emulated(choose_device(devices[0]), profile.precision)
        if slow:
            console.print(slow, markup=False)
        if devices[0] == "cpu" and not options.dry_run:
            calibrate(options.runs_dir, profile.threads)
        print_estimate(todo, planned, data, devices, options.runs_dir, remember=not options.dry_run)
    del data  # the runs load their own
    if options.dry_run:
        return 0
    create_missing(jobs)
    note_where_images_are(folder, planned)
    with contextlib.nullcontext() if options.no_tracking else Tracking(options, folder) as tracking:
        if todo:
            with display(console) as shown:
                work(queue, [shown])
    print_failures(jobs, queue)
    printed, reported = "", records_digest(folder)
    if any(job.state == "done" and job.info.phase in REPORTED for job in jobs):
        out = report_folder(folder)
        printed = print_report([folder], out, ["csv", "md", "tex", "svg", "html"])
        if tracking is not None:
            tracking.attach(out)
    states = {job.state for job in jobs}
    if states != {"done"}:
        return STOPPED if queue.stopping and "failed" not in states else 1
    if tracking is not None and not tracking.good:
        return TRACKER_DOWN
    elsewhere = any(info.origin for info in planned) or not isinstance(experiment.dataset, str)
    if not left_out and not elsewhere:  # what was not here may come, what lies in other folders may change
        note(options, folder, printed, reported)
    return 0


def images_for(
    planned: list[RunInfo], optional: bool, runs_dir: Path, left_out: list[str]
) -> tuple[list[RunInfo], ImageData | None]:
    """The runs that can be done here and their images, checked before anything starts; what cannot is said in
    `left_out`, where images are optional."""
    from bench.run.check import check, check_files
    from bench.run.images import images_of, optional_images_of

    if optional:
        planned, data, without = optional_images_of(planned, runs_dir, say)
        left_out += [without] if without else []
    else:
        data = images_of(planned, runs_dir, say)
    if data is not None:
        check(planned, data)
        check_files(planned, data, runs_dir, say)
    return planned, data


def print_again(folder: Path, printed: str) -> int:
    """What the last run of the same said."""
    from bench.commands.again import report_folder

    console.print(f"Everything is done and nothing has changed since; records in {folder}", markup=False)
    if printed:
        console.print(printed, markup=False)
        console.print(f"Report: {report_folder(folder).resolve()}", markup=False)
    return 0


def print_plan(planned: list[RunInfo], todo: list[RunInfo]) -> None:
    """One line for each row: how many runs it has of each phase that occurs, and how many are still to be done."""
    from bench.records.directory import sharing
    from bench.records.run_info import PHASES

    occurring = [phase for phase in PHASES if any(info.phase == phase for info in planned)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("row", "method", *occurring, "to do"):
        table.add_column(name, overflow="fold")
    left = {info.signature for info in todo}
    rows: dict[str, list[RunInfo]] = {}
    for info in planned:
        for label in info.rows:
            rows.setdefault(label, []).append(info)
    for label, runs in rows.items():
        phases = [sum(info.phase == phase for info in runs) for phase in occurring]
        missing = sum(info.signature in left for info in runs)
        label += " (intermediate)" * runs[0].intermediate
        preset = next((info.preset for info in runs if info.preset), None)
        own = runs[-1].method  # what comes first may be another row's, too
        method = f"{own} ({preset})" if preset else own
        table.add_row(escape(label), method, *(str(n or "") for n in phases), str(missing))
    console.print(table)
    for sentence in sharing(planned):
        console.print(sentence, markup=False)


def print_estimate(
    todo: list[RunInfo],
    planned: Sequence[RunInfo],
    data: ImageData | None,
    devices: Sequence[str],
    runs_dir: Path,
    remember: bool,
) -> None:
    """Time a few steps of each kind of run that is left to do, and say how long these will take."""
    from bench.device.engine import choose_device
    from bench.run.estimate import EstimateError, makespan, timings_of
    from bench.run.progress import duration
    from bench.run.timings import said_of_parts

    console.print("Timing a few steps of each kind of run ...")
    try:
        timings = timings_of(todo, data, choose_device(devices[0]), runs_dir, remember, planned)
    except EstimateError as error:
        console.print(f"{error}; the runs start all the same", markup=False)
    else:
        seconds = {name: timing.seconds for name, timing in timings.items()}
        about = duration(makespan(todo, seconds, len(devices)))
        console.print(f"Estimated time: about {about}{said_of_parts(list(timings.values()))}", markup=False)


def print_failures(jobs: Sequence[Job], queue: Queue) -> None:
    """What failed, what was not started for it, and whether the queue was stopped."""
    from bench.run.progress import run_title

    states = [job.state for job in jobs]
    for job in jobs:
        if job.state == "failed":
            console.print(f"[red]failed[/] {escape(printable(f'{run_title(job)}: {job.info.error}'))}")
    blocked = states.count("blocked")
    if blocked:
        console.print(f"[red]{blocked} runs[/] were not started because a run they need failed")
    if queue.stopping:
        console.print(f"Stopped; {states.count('done')} of {len(states)} runs are done. The same command continues.")
