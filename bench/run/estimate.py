"""How long an experiment will take here: a few steps of each different run are timed, and remembered."""

from __future__ import annotations

import heapq
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from bench.data.datasets import DatasetInfo, ImageData
from bench.device.calibration import recall
from bench.device.engine import make_engine
from bench.plan.stand_ins import stand_in
from bench.records.directory import RunInfo
from bench.run.step_time import Allowance
from bench.run.timed_runs import Images, Unmade, seconds_of
from bench.run.timings import Timing, key_of, place_of, read_timings, sources_of, write_timings
from methods.architecture import Architecture
from methods.parts.cpu_choices import CpuChoices

MOST_SECONDS = 120.0
"""For the steps of all kinds of run on a CPU; each has an even share of what is left. What does not fit in is timed on
fewer images."""


class EstimateError(RuntimeError):
    """No estimate can be made here; the runs may well do."""


def estimate_seconds(
    planned: Sequence[RunInfo],
    data: ImageData | None,
    device: torch.device,
    runs_dir: Path,
    remember: bool = True,
    done: Sequence[RunInfo] = (),
) -> dict[str, float]:
    """Seconds of each run on one device, by signature; an upper bound for methods that may stop early.

    Runs that differ only in their seeds are timed once, on random images; the answers are kept in
    `RUNS_DIR/estimates.json` by configuration and device. A network that is not known before a search is stood in for
    by a known one of its space. The timing is done in a process of its own, as a run is: what it takes to start is
    part of every run, and its memory is free again when the runs begin.

    Args:
        done: runs that planned ones rest on, whose own time is not asked for.

    Raises:
        EstimateError: that process died.
    """
    timings = timings_of(planned, data, device, runs_dir, remember, done)
    return {name: timing.seconds for name, timing in timings.items()}


def timings_of(
    planned: Sequence[RunInfo],
    data: ImageData | tuple[DatasetInfo, int] | None,
    device: torch.device,
    runs_dir: Path,
    remember: bool = True,
    done: Sequence[RunInfo] = (),
) -> dict[str, Timing]:
    """As `estimate_seconds`, with the memory that steps take on a GPU.

    Args:
        data: the images, or what they are and how many there are to train on.
    """
    known = read_timings(runs_dir)
    choices = recall(runs_dir, planned[0].config["threads"])
    every, where = [*done, *planned], place_of(device, choices)
    networks, sources = stand_ins(every), sources_of(every)
    made_of = {info.signature: (networks.get(info.signature), sources.get(info.signature)) for info in planned}
    keys = {info.signature: key_of(info, *made_of[info.signature], where) for info in planned}
    missing = {key: info for info in planned if (key := keys[info.signature]) not in known}
    if missing:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent) as other:
            images = Images(data.info, len(data.train)) if isinstance(data, ImageData) else data and Images(*data)
            runs = [Unmade(info, *made_of[info.signature]) for info in missing.values()]
            work = runs, images, device, choices
            try:
                found = other.submit(_time_runs, *work).result()
            except BrokenProcessPool:
                raise EstimateError(
                    "the time cannot be estimated: the process that timed a few steps died (killed, or out of memory)"
                ) from None
        known |= {key: Timing(*each[:2], where, each[2]) for key, each in zip(missing, found, strict=True)}
        if remember:
            write_timings(runs_dir, known)
    return {name: known[key] for name, key in keys.items()}


def end_with_parent() -> None:
    """In a process that serves another: end when that one is gone, killed in the middle of an estimate, say."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stand_ins(planned: Sequence[RunInfo]) -> dict[str, Architecture]:
    """By signature, the network that each training is of, or a search starts from, or one that stands in for it."""
    by_signature = {info.signature: info for info in planned}
    trained = ("score", "train")
    known = [info for info in planned if info.phase in trained or (info.phase == "search" and "start" in info.config)]
    return {info.signature: stand_in(info, by_signature) for info in known}


def _time_runs(
    runs: Sequence[Unmade],
    images: Images | None,
    device: torch.device,
    choices: CpuChoices,
) -> list[tuple[float, int | None, float]]:
    """In a new process: its start, and the steps of each run; the memory that these take on a GPU; the part of a batch
    that was timed.

    Args:
        images: None where no run needs any.
    """
    start = time.process_time()
    config = runs[0].info.config
    engine = make_engine(device, config["precision"], config["deterministic"], config["threads"], choices=choices)
    found = []
    until = time.perf_counter() + MOST_SECONDS
    for number, each in enumerate(runs):
        engine.reset_peak_memory()
        allowance = Allowance(max(0.0, until - time.perf_counter()) / (len(runs) - number))
        seconds = start + seconds_of(each, images, engine, allowance)
        found.append((seconds, engine.peak_memory() if engine.device.type == "cuda" else None, allowance.part))
    return found


def makespan(planned: Sequence[RunInfo], seconds: Mapping[str, float], devices: int) -> float:
    """Seconds until the last run ends when every free device takes the first run that is ready, as the queue does.

    Args:
        planned: each once; a run that is needed and not among them is done.
    """
    names = [info.signature for info in planned]
    there = set(names)
    needs = {info.signature: set(info.needs) & there for info in planned}
    needed_by: dict[str, list[int]] = {name: [] for name in names}
    for number, name in enumerate(names):
        for need in needs[name]:
            needed_by[need].append(number)
    ready = [number for number, name in enumerate(names) if not needs[name]]
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            number = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[names[number]], number))
        now = running[0][0]
        while running and running[0][0] == now:  # what ends together is collected together
            _, ended = heapq.heappop(running)
            for number in needed_by[names[ended]]:
                needs[names[number]].discard(names[ended])
                if not needs[names[number]]:
                    heapq.heappush(ready, number)
    return now
