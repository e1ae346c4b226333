"""What an experiment at a profile takes, before anybody pays for it: device-hours, memory, storage, jobs, wall time.

Hours and memory follow from steps that were timed on a named device, and from nothing else: where none was, they stay
None. Storage follows from the networks' sizes, wall time from the queue, simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.config import restore
from bench.data.images import DatasetInfo
from bench.plan.recipe import Recipe
from bench.records.run_info import RunInfo
from bench.run.estimate import makespan
from bench.run.phases.start import imagined_start
from bench.run.timings import Timing
from methods.architecture import Architecture
from methods.base import GradientSearch, SearchContext
from methods.parts.counts import count_params
from methods.registry import get_method
from methods.spaces import NetworkSettings
from methods.spaces.image_size import on_meta
from methods.tasks import task_of

CHECKPOINTS = 2
"""Kept of every run (`bench.records.checkpoint`)."""
FLOAT = 4
"""Bytes: weights, statistics and momentum are float32 at every precision."""


@dataclass
class RowScale:
    """What a row's own runs take; a run that several rows share counts for the first.

    Attributes:
        runs: by phase.
        device_seconds, peak_memory: None where a run was not timed on the device.
        storage: bytes of checkpoints and weights.
    """

    label: str
    runs: dict[str, int] = field(default_factory=dict)
    device_seconds: float | None = 0.0
    peak_memory: int | None = None
    storage: int = 0


def scale_of(
    planned: Sequence[RunInfo],
    timings: Mapping[str, Timing],
    networks: Mapping[str, Architecture],
    data: DatasetInfo,
) -> list[RowScale]:
    """What each row takes, in the order of the plan.

    Args:
        timings: by signature; a run that is not there was not timed.
        networks: by signature, of the trainings.
    """
    rows: dict[str, RowScale] = {}
    sizes: dict[tuple[Any, ...], int] = {}
    for info in planned:
        if info.origin:
            continue
        row = rows.setdefault(info.label, RowScale(info.label))
        row.runs[info.phase] = row.runs.get(info.phase, 0) + 1
        timing = timings.get(info.signature)
        row.device_seconds = _sum(row.device_seconds, timing and timing.seconds)
        if timing is not None and timing.peak_memory is not None:
            row.peak_memory = max(row.peak_memory or 0, timing.peak_memory)
        kind = (info.phase, info.label, info.inheritance)  # runs that differ in their seeds alone
        if kind not in sizes:
            sizes[kind] = storage_of(info, networks.get(info.signature), data)
        row.storage += sizes[kind]
    return list(rows.values())


def _sum(total: Any, more: Any) -> Any:
    return None if total is None or more is None else total + more


def storage_of(info: RunInfo, network: Architecture | None, data: DatasetInfo) -> int:
    """Bytes that a run leaves: its checkpoints, and the weights of what was trained; records and curves are small."""
    if info.phase in ("score", "train") and network is not None:
        return _of_training(info, network, data)
    cls = get_method(info.method) if info.phase == "search" else None
    return _of_search(info, network, data) if cls is not None and issubclass(cls, GradientSearch) else 0


def _of_training(info: RunInfo, architecture: Architecture, data: DatasetInfo) -> int:
    recipe = restore(Recipe, info.config["recipe"], "recipe")
    settings = NetworkSettings(
        **info.config["network"], auxiliary=recipe.auxiliary_weight > 0, in_channels=data.channels
    )
    module = on_meta(architecture, settings, data.outputs)
    parameters = count_params(module, auxiliary=True)
    weights = parameters + sum(buffer.numel() for buffer in module.buffers())
    averaged = weights if recipe.ema_decay else 0
    kept = weights if info.phase == "train" else 0
    return FLOAT * (kept + CHECKPOINTS * (weights + parameters + averaged))


def _of_search(info: RunInfo, network: Architecture | None, data: DatasetInfo) -> int:
    """Of a supernet with the momentum of its weights; optimisers of architecture parameters are small."""
    cls = get_method(info.method)
    start = imagined_start(info, network, data.outputs, data.channels)
    task = task_of(info.config)
    context = SearchContext(data.outputs, data.channels, data.image_size, info.config["stem"], start=start, task=task)
    method = cls(restore(cls.Options, info.config["options"], "options"), context)  # type: ignore[call-arg]
    assert isinstance(method, GradientSearch)
    parameters = sum(parameter.numel() for parameter in method.supernet.parameters())
    return CHECKPOINTS * FLOAT * (2 * parameters + sum(buffer.numel() for buffer in method.supernet.buffers()))


def wall_seconds(
    planned: Sequence[RunInfo], timings: Mapping[str, Timing], devices: Sequence[int]
) -> dict[int, float] | None:
    """Seconds until everything is done, by number of devices, one run a device; None where a run was not timed."""
    own = [info for info in planned if not info.origin]
    if any(info.signature not in timings for info in own):
        return None
    seconds = {info.signature: timings[info.signature].seconds for info in own}
    return {count: makespan(own, seconds, count) for count in devices}
