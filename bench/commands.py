"""The commands that run, follow and report experiments."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.config import ConfigError, nearest
from bench.experiment import Experiment, load_experiment, plan
from bench.records import Record, RecordError, RunInfo
from methods.architecture import Architecture

MIRROR_SECONDS = 45.0
STOPPED, TRACKER_DOWN = 130, 3
"""Exit codes of `dasbench run`: stopped by a person; everything is done and recorded but MLflow could not be told."""

console = Console(highlight=False, soft_wrap=True)


def choose_profile(experiment: Experiment, name: str | None) -> str:
    """The profile asked for, or the only one there is; "auto" is "short" on a GPU and "quick" on a CPU.

    Raises:
        ConfigError: none was asked for and there are several.
    """
    if name == "auto":
        name = "short" if torch.cuda.is_available() else "quick"
    if name is not None:
        experiment.profile(name)
        return name
    if len(experiment.profiles) > 1:
        raise ConfigError(
            f"experiment {experiment.name} has several profiles; choose one with --profile: "
            + ", ".join(experiment.profiles)
        )
    return next(iter(experiment.profiles))


def what(options: argparse.Namespace) -> dict[str, Any]:
    """What of an experiment is asked for, as arguments of `bench.experiment.plan`."""
    names = {"rows": "methods", "search_seeds": "search_seeds", "retrain_seeds": "retrain_seeds", "memory": "memory"}
    return {argument: getattr(options, name) for argument, name in names.items()}


def run(options: argparse.Namespace) -> int:
    """Plan, check the data, run what is missing, mirror to MLflow, print the table."""
    from bench.calibration import calibrate
    from bench.data.datasets import load
    from bench.estimate import estimate_seconds, makespan
    from bench.local import Queue, devices_for, make_jobs, work
    from bench.progress import display, duration, run_title

    experiment = load_experiment(options.experiment)
    profile_name = choose_profile(experiment, options.profile)
    profile = experiment.profile(profile_name)
    planned = plan(experiment, profile_name, **what(options))
    devices = devices_for(options.device, profile.threads, options.jobs)
    options_of_data: dict[str, Any] = {"image_size": profile.data.image_size} if profile.data.image_size else {}
    data = load(experiment.dataset, os.environ.get("DATA_ROOT"), **options_of_data)

    folder = options.runs_dir / f"{experiment.name}-{profile_name}"
    jobs = make_jobs(folder, planned)
    queue = Queue(jobs, devices, options.fail_fast)
    todo = [job.info for job in jobs if job.state != "done"]
    console.print(f"[bold]{experiment.name}[/], profile {profile_name}: {profile.description}")
    print_plan(planned, todo)
    console.print(f"{len(devices)} at once on {', '.join(sorted(set(devices)))}; records in {folder}")
    if todo:
        from bench.engine import choose_device

        if devices[0] == "cpu":
            calibrate(options.runs_dir, profile.threads)
        console.print("Timing a few steps of each kind of run ...")
        seconds = estimate_seconds(todo, data, choose_device(devices[0]), options.runs_dir)
        console.print(f"Estimated time: about {duration(makespan(todo, seconds, len(devices)))}")
    del data  # the runs load their own
    if options.dry_run:
        return 0
    with contextlib.nullcontext() if options.no_tracking else Tracking(options, folder) as tracking:
        if todo:
            with display(console) as shown:
                work(queue, [shown])
    states = [job.state for job in jobs]
    for job in jobs:
        if job.state == "failed":
            console.print(f"[red]failed[/] {run_title(job)}: {job.info.error}", markup=True)
    blocked = states.count("blocked")
    if blocked:
        console.print(f"[red]{blocked} runs[/] were not started because a run they need failed")
    if queue.stopping:
        console.print(f"Stopped; {states.count('done')} of {len(states)} runs are done. The same command continues.")
    if any(job.state == "done" and job.info.phase == "train" for job in jobs):
        out = Path("report") / folder.name
        print_table([folder], out, ["csv", "md", "tex", "svg", "html"])
        if tracking is not None:
            tracking.attach(out)
    if any(state != "done" for state in states):
        return STOPPED if queue.stopping and "failed" not in states else 1
    return TRACKER_DOWN if tracking is not None and not tracking.good else 0


def print_plan(planned: list[RunInfo], todo: list[RunInfo]) -> None:
    """One line for each row: how many runs of each phase it has, and how many are still to be done."""
    table = Table("row", "method", "search", "transform", "train", "to do", box=None, padding=(0, 2, 0, 0))
    left = {info.signature for info in todo}
    rows: dict[str, list[RunInfo]] = {}
    for info in planned:
        rows.setdefault(info.label, []).append(info)
    for label, runs in rows.items():
        phases = [sum(info.phase == phase for info in runs) for phase in ("search", "transform", "train")]
        missing = sum(info.signature in left for info in runs)
        table.add_row(label, runs[0].method, *(str(n or "") for n in phases), str(missing))
    console.print(table)


class Tracking:
    """MLflow beside a running experiment: a view of the records, which stops nothing when it is down."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        from bench import tracking

        self.module, self.folder, self.good = tracking, folder, True
        self.store = tracking.open_store(options.runs_dir, options.tracking_uri)
        self.over = threading.Event()
        mirror = tracking.Mirror(folder, self.store, picture_of, warn=self._warn)
        self.thread = threading.Thread(
            target=tracking.follow, args=(mirror, self.over.is_set, MIRROR_SECONDS, self.over.wait), daemon=True
        )

    def __enter__(self) -> Tracking:
        try:
            self.module.prepare(self.store, self.folder.name)
            self.thread.start()
        except self.module.TrackingError as error:
            self._warn(f"{error}; the runs go on, and `dasbench sync` brings MLflow up to date later")
        return self

    def __exit__(self, *reason: Any) -> None:
        self.over.set()
        if self.thread.ident is not None:
            self.thread.join()
        if self.good:
            console.print(f"MLflow is up to date: {self.store.shown}")

    def attach(self, report: Path) -> None:
        """Put the report beside the parent run; a tracker that is down has been named already."""
        if self.good:
            try:
                self.module.attach(self.folder, self.store, [report])
            except self.module.TrackingError as error:
                self._warn(str(error))

    def _warn(self, text: str) -> None:
        self.good = False
        console.print(f"[yellow]tracking:[/] {text}")


def picture_of(record: Record) -> dict[str, Path]:
    """A drawing of a run's architecture for MLflow, made beside its record."""
    from reports.draw import draw

    path = record.path / "architecture.png"
    if not path.exists():
        draw(Architecture.load(record.path), path)
    return {"architecture.png": path}


def print_table(folders: list[Path], out: Path, formats: list[str] | None = None) -> None:
    from reports import build

    result = build(folders, out, **({"formats": formats} if formats else {}))
    console.print(result.table, markup=False, soft_wrap=True)
    console.print(f"Report: {out.resolve()}")


def folders_of(options: argparse.Namespace) -> list[Path]:
    """The record folders that names, name-profile pairs or paths stand for; all below the runs folder if none.

    Raises:
        ConfigError: nothing there by that name.
    """
    there = sorted(path for path in options.runs_dir.glob("*") if any(path.glob("*/run.json")))
    if not there and not options.experiments:
        raise ConfigError(f"no runs in {options.runs_dir}; `dasbench run demo` makes some, --runs-dir looks elsewhere")
    chosen = [] if options.experiments else there
    for name in options.experiments:
        given = Path(name)
        if given.is_dir() and any(given.glob("*/run.json")):
            chosen.append(given)
            continue
        found = [path for path in there if path.name == name or path.name.rpartition("-")[0] == name]
        if not found:
            raise ConfigError(f"no runs of '{name}' in {options.runs_dir}" + nearest(name, [p.name for p in there]))
        chosen += found
    profile = getattr(options, "profile", None)
    kept = [path for path in chosen if profile is None or path.name.endswith(f"-{profile}")]
    if not kept:
        raise ConfigError(f"no runs of profile '{profile}' among {', '.join(path.name for path in chosen)}")
    return kept


def report(options: argparse.Namespace) -> int:
    """Tables, plots and the page of finished runs."""
    import reports

    try:
        if options.compare:
            console.print(reports.compare(*options.compare), markup=False)
        else:
            print_table(options.merge or folders_of(options), options.out, options.formats)
    except reports.ReportError as error:
        raise ConfigError(str(error)) from None
    return 0


def sync(options: argparse.Namespace) -> int:
    """Rebuild or update MLflow from the records."""
    from bench import tracking

    problems = 0
    try:
        store = tracking.open_store(options.runs_dir, options.tracking_uri)
        while True:
            for folder in folders_of(options):
                report = tracking.sync(folder, store, picture_of)
                problems += len(report.problems)
                console.print(f"{folder.name}: {report}")
                for problem in report.problems:
                    console.print(f"    {problem}", markup=False)
                if options.models:
                    console.print(f"    {tracking.log_models(folder, store)} models new")
            if not options.follow:
                break
            time.sleep(MIRROR_SECONDS)
    except tracking.TrackingError as error:
        raise RecordError(str(error)) from None
    console.print(f"Browse it with: mlflow ui --backend-store-uri {store.shown}")
    return int(problems > 0)


def launch(options: argparse.Namespace) -> int:
    """Submit an experiment to SLURM, or print what would be submitted."""
    from slurm import commands

    experiment = load_experiment(options.experiment)
    profile = choose_profile(experiment, options.profile)
    planned = plan(experiment, profile, **what(options))
    folder = options.runs_dir / f"{experiment.name}-{profile}"
    return commands.launch(console, folder, planned, options.cluster, dry_run=options.dry_run, yes=options.yes)


def status(options: argparse.Namespace) -> int:
    """How the runs stand, on this machine and on the cluster, and whether MLflow knows."""
    from slurm import commands
    from slurm.witness import Tracker

    folders = folders_of(options)
    tracker = Tracker(options.runs_dir, options.tracking_uri, folders)
    return commands.show_status(Console(), folders, tracker, options.watch)


def cancel(options: argparse.Namespace) -> int:
    """Cancel an experiment's jobs on the cluster."""
    from slurm import commands

    return commands.cancel(console, folders_of(options), options.methods or [])
