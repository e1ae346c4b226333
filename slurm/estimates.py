"""`dasbench launch --estimate`: what an experiment would take, without submitting anything.

Hours and memory are those of a named device on which steps of these runs were timed: on this machine now, if it has the
device, or earlier by anybody who shares RUNS_DIR. Where there are none, their columns stay empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.data.images import DataError, DatasetInfo
from bench.device.engine import choose_device
from bench.records.directory import RunInfo
from bench.records.run_info import PHASES
from bench.run.estimate import EstimateError, stand_ins, timings_of
from bench.run.images import images_of
from bench.run.progress import duration
from bench.run.published_images import published_data
from bench.run.scale import RowScale, scale_of, wall_seconds
from bench.run.timings import Timing, devices, read_timings, timed_on
from slurm.arrays import arrange
from slurm.cluster import Cluster, minutes

GIB = 1024.0**3
GPUS = (1, 8, 64)


def estimate(
    console: Console,
    runs_dir: Path,
    planned: Sequence[RunInfo],
    cluster: Cluster,
    on: str | None = None,
    gpus: Sequence[int] = GPUS,
) -> None:
    """Print device-hours, memory and storage by row, the number of jobs, and the wall time by number of devices.

    Args:
        cluster: whose limits cut runs into jobs.
        on: the device's name; None for this machine's GPU, else the one on which most of these runs were timed.
        gpus: numbers of devices to simulate the queue on.
    """
    data, images = _data(console, planned)
    networks = stand_ins(planned)
    timings = _timings(console, runs_dir, planned, (data, images), cluster, on)
    if not timings:
        timings = timed_on(read_timings(runs_dir), planned, networks, on)
    device = next((timing.device for timing in timings.values()), None)
    console.print(_said_of_device(device, on, timings, planned, runs_dir), markup=False)
    console.print(_table(scale_of(planned, timings, networks, data)))
    console.print(_jobs(planned, timings, cluster), markup=False)
    _print_wall(console, planned, timings, gpus, device)


def _data(console: Console, planned: Sequence[RunInfo]) -> tuple[DatasetInfo, int]:
    """What the images are and how many there are to train on: as they lie here, else as the data set is published."""
    first = next(info for info in planned if not info.origin)
    known = published_data(first)
    try:
        data = images_of(planned, Path.cwd(), download=False)
    except DataError as error:
        if known is None:
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        console.print(f"{reason}; reckoned with its published {known[1]:,} training images", markup=False)
        return known
    assert data is not None
    return data.info, len(data.train)


def _timings(
    console: Console,
    runs_dir: Path,
    planned: Sequence[RunInfo],
    data: tuple[DatasetInfo, int],
    cluster: Cluster,
    on: str | None,
) -> Mapping[str, Timing]:
    """Timed on this machine, if it has what the cluster has; nothing otherwise, or where another device was named."""
    if on is not None or (cluster.gpus and not torch.cuda.is_available()):
        return {}
    own = [info for info in planned if not info.origin]
    console.print("Timing a few steps of each kind of run ...")
    try:
        return timings_of(own, data, choose_device("auto" if cluster.gpus else "cpu"), runs_dir)
    except EstimateError as error:
        console.print(f"{error}.", markup=False)
        return {}


def _said_of_device(
    device: str | None, on: str | None, timings: Mapping[str, Timing], planned: Sequence[RunInfo], runs_dir: Path
) -> str:
    how = "the same command on a machine that has one, with the same RUNS_DIR, times them"
    if device is None:
        there = devices(read_timings(runs_dir))
        known = f" (timings there are of: {', '.join(there)})" if there else ""
        return f"No step of these runs was timed on {on or 'a GPU'}{known}: hours and memory stay empty; {how}"
    own = [info for info in planned if not info.origin]
    missing = sum(info.signature not in timings for info in own)
    left = f"; {missing} of {len(own)} runs were not timed there: their rows stay empty; {how}" if missing else ""
    return f"By steps timed on one {device}; an upper bound for searches that may stop early{left}"


def _table(rows: Sequence[RowScale]) -> Table:
    phases = [phase for phase in PHASES if any(phase in row.runs for row in rows)]
    headings = ("device-h", "GiB held", "GiB stored")
    table = Table("row", *phases, *headings, box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in [*rows, _total(rows)]:
        runs = (str(row.runs.get(phase) or "") for phase in phases)
        memory = "" if row.peak_memory is None else f"{row.peak_memory / GIB:.1f}"
        table.add_row(escape(row.label), *runs, _hours(row.device_seconds), memory, f"{row.storage / GIB:.2f}")
    return table


def _total(rows: Sequence[RowScale]) -> RowScale:
    """Of all rows; hours only where every row has some."""
    hours = [row.device_seconds for row in rows]
    known = [seconds for seconds in hours if seconds is not None]
    return RowScale(
        "all",
        {phase: sum(row.runs.get(phase, 0) for row in rows) for phase in PHASES},
        sum(known) if len(known) == len(hours) else None,
        max((row.peak_memory for row in rows if row.peak_memory is not None), default=None),
        sum(row.storage for row in rows),
    )


def _hours(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 3600:,.1f}" if seconds >= 360 else f"{seconds / 3600:.2g}"


def _jobs(planned: Sequence[RunInfo], timings: Mapping[str, Timing], cluster: Cluster) -> str:
    """How many arrays, tasks and, where hours are known, stretches between requeues."""
    own = [info for info in planned if not info.origin]
    arrays = arrange(own, per_task={phase: cluster.for_phase(phase).runs_per_task for phase in PHASES})
    tasks = sum(len(array.tasks) for array in arrays)
    text = f"{_many(len(own), 'run')} in {_many(tasks, 'task')} of {_many(len(arrays), 'job array')}"
    if any(info.signature not in timings for info in own):
        return text
    limits = {phase: 60.0 * minutes(cluster.for_phase(phase).time) for phase in PHASES}
    stretches = sum(max(1, math.ceil(timings[info.signature].seconds / limits[info.phase])) for info in own)
    return f"{text}; with the time limits of {cluster.name} ({cluster.time}) they are started {stretches} times in all"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _print_wall(
    console: Console, planned: Sequence[RunInfo], timings: Mapping[str, Timing], gpus: Sequence[int], device: str | None
) -> None:
    """The queue, simulated: every free device takes the first run that is ready."""
    own = [info for info in planned if not info.origin]
    wall = wall_seconds(planned, timings, [*gpus, len(own)])
    if wall is None:
        console.print("Without hours of every run the queue cannot be simulated: no wall time is given.")
        return
    for count in gpus:
        console.print(f"on {count} x {device}: {duration(wall[count])}", markup=False)
    console.print(
        f"on any number: {duration(wall[len(own)])}, the longest chain of runs, one device a run", markup=False
    )
