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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.config import restore
from bench.data.datasets import DatasetInfo, ImageData
from bench.data.search_protocol import search_protocol
from bench.device.calibration import recall
from bench.device.engine import Engine, make_engine
from bench.device.graph import WARM_UP
from bench.plan.recipe import Recipe
from bench.plan.stand_ins import stand_in
from bench.records.directory import RunInfo
from bench.run.phases.lookup import seconds_of_lookup
from bench.run.phases.start import imagined_start
from bench.run.timings import Timing, key_of, place_of, read_timings, write_timings
from bench.run.train import training_loss
from methods.architecture import Architecture
from methods.base import GradientSearch, SearchContext
from methods.parts.convolution import CpuChoices
from methods.registry import get_method
from methods.spaces import NetworkSettings, build

TIMED_STEPS = 2


@dataclass(frozen=True)
class Unmade:
    """A run to be timed, and what stands for what it needs and is not there yet.

    Attributes:
        network: that a training is of.
        measured: the run whose latencies are fitted; None where that is not planned.
    """

    info: RunInfo
    network: Architecture | None
    measured: RunInfo | None


class EstimateError(RuntimeError):
    """No estimate can be made here; the runs may well do."""


def estimate_seconds(
    planned: Sequence[RunInfo], data: ImageData | None, device: torch.device, runs_dir: Path, remember: bool = True
) -> dict[str, float]:
    """Seconds of each run on one device, by signature; an upper bound for methods that may stop early.

    Runs that differ only in their seeds are timed once, on random images; the answers are kept in
    `RUNS_DIR/estimates.json` by configuration and device. A network that is not known before a search is stood in for
    by a known one of its space. The timing is done in a process of its own, as a run is: what it takes to start is
    part of every run, and its memory is free again when the runs begin.

    Raises:
        EstimateError: that process died.
    """
    return {name: timing.seconds for name, timing in timings_of(planned, data, device, runs_dir, remember).items()}


def timings_of(
    planned: Sequence[RunInfo],
    data: ImageData | tuple[DatasetInfo, int] | None,
    device: torch.device,
    runs_dir: Path,
    remember: bool = True,
) -> dict[str, Timing]:
    """As `estimate_seconds`, with the memory that steps take on a GPU.

    Args:
        data: the images, or what they are and how many there are to train on.
    """
    known = read_timings(runs_dir)
    choices = recall(runs_dir, planned[0].config["threads"])
    networks, where = stand_ins(planned), place_of(device, choices)
    keys = {info.signature: key_of(info, networks.get(info.signature), where) for info in planned}
    missing = {key: info for info in planned if (key := keys[info.signature]) not in known}
    if missing:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent) as other:
            images = (data.info, len(data.train)) if isinstance(data, ImageData) else data
            by_signature = {info.signature: info for info in planned}
            runs = [_unmade(info, networks, by_signature) for info in missing.values()]
            work = runs, images, device, choices
            try:
                found = other.submit(_time_runs, *work).result()
            except BrokenProcessPool:
                raise EstimateError(
                    "the time cannot be estimated: the process that timed a few steps died (killed, or out of memory)"
                ) from None
        known |= {key: Timing(*each, where) for key, each in zip(missing, found, strict=True)}
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
    known = [info for info in planned if info.phase == "train" or (info.phase == "search" and "start" in info.config)]
    return {info.signature: stand_in(info, by_signature) for info in known}


def _unmade(info: RunInfo, networks: Mapping[str, Architecture], planned: Mapping[str, RunInfo]) -> Unmade:
    measured = planned.get(info.needs[0]) if info.phase == "fit" else None
    return Unmade(info, networks.get(info.signature), measured)


def _time_runs(
    runs: Sequence[Unmade],
    images: tuple[DatasetInfo, int] | None,
    device: torch.device,
    choices: CpuChoices,
) -> list[tuple[float, int | None]]:
    """In a new process: its start, and the steps of each run; and the memory that these take on a GPU.

    Args:
        images: what they are and how many there are to train on; None where no run needs any.
    """
    start = time.process_time()
    config = runs[0].info.config
    engine = make_engine(device, config["precision"], config["deterministic"], config["threads"], choices=choices)
    found = []
    for each in runs:
        engine.reset_peak_memory()
        seconds = start + _time_run(each, images, engine)
        found.append((seconds, engine.peak_memory() if engine.device.type == "cuda" else None))
    return found


def _time_run(unmade: Unmade, of: tuple[DatasetInfo, int] | None, engine: Engine) -> float:
    run, network = unmade.info, unmade.network
    if run.phase == "lookup":
        return seconds_of_lookup(run)
    if run.origin:
        return 0.0
    if run.phase == "fit":
        return _time_fit(unmade.measured)
    assert of is not None
    if run.phase == "collect":
        from bench.run.phases.collect import seconds_of_collecting  # no other run measures latencies

        return seconds_of_collecting(run, of[0])
    info, images = of[0], run.config["data"]["train_images"] or of[1]
    if run.phase == "search":
        return _time_search(run, network, info, images, engine)
    return 1.0 if run.phase != "train" or network is None else _time_training(run, network, info, images, engine)


def _time_fit(measured: RunInfo | None) -> float:
    """A second where what is fitted to is there already: no run says how much that is."""
    if measured is None:
        return 1.0
    from bench.run.phases.fit import seconds_of_fitting  # no other run fits latencies

    return seconds_of_fitting(measured.config["space"], measured.config["latency"]["measurements"])


def _time_search(run: RunInfo, network: Architecture | None, info: DatasetInfo, images: int, engine: Engine) -> float:
    cls = get_method(run.method)
    if not issubclass(cls, GradientSearch):
        return 0.0
    start = imagined_start(run, network, info.num_classes, info.channels)
    context = SearchContext(info.num_classes, info.channels, info.image_size, run.config["stem"], start=start)
    method = cls(restore(cls.Options, run.config["options"], "options"), context)
    method.to(engine.device)
    method.enter_longest_step()
    split = search_protocol(run.config).split(method.split)
    steps = method.epochs * max(1, round(images * split.train / method.batch_size))
    batch = _fake_batch(method.batch_size, info, engine)
    beside = batch if method.split.paired else None
    return steps * _seconds_per_step(lambda: method.step(batch, beside), engine, method.supernet)


def _time_training(run: RunInfo, architecture: Architecture, info: DatasetInfo, images: int, engine: Engine) -> float:
    recipe = restore(Recipe, run.config["recipe"], "recipe")
    auxiliary = recipe.auxiliary_weight > 0
    settings = NetworkSettings(**run.config["network"], auxiliary=auxiliary, in_channels=info.channels)
    network = build(architecture, info.num_classes, settings).to(engine.device)
    network.to(memory_format=engine.memory_format)
    inputs, labels = _fake_batch(recipe.batch_size, info, engine)

    def step() -> None:
        network.zero_grad()
        _, loss = training_loss(network(inputs), labels, recipe)
        loss.backward()

    return recipe.epochs * max(1, round(images / recipe.batch_size)) * _seconds_per_step(step, engine, network)


def _fake_batch(size: int, info: DatasetInfo, engine: Engine) -> Any:
    images = torch.randn(size, info.channels, info.image_size, info.image_size, device=engine.device)
    return images, torch.randint(info.num_classes, (size,), device=engine.device)


def _seconds_per_step(step: Any, engine: Engine, network: torch.nn.Module) -> float:
    """In the precision of the run, and on a GPU as a graph where it is recorded."""

    def work() -> dict[str, torch.Tensor]:
        with engine.autocast():
            step()
        return {}

    timed = engine.graphed(work, network)
    for _ in range(1 if timed.recorder is None else WARM_UP + 1):
        timed()
    engine.synchronize()
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        timed()
    engine.synchronize()
    return (time.perf_counter() - started) / TIMED_STEPS


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
