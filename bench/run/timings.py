"""What was timed, kept in RUNS_DIR/estimates.json: seconds of a run and its memory, on a named device.

A timing counts for the configuration, without what takes no time (`UNTIMED`), the device, torch's version and, on a
CPU, the choices it computes with. A machine that has none of the device can so look up what was timed on it.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.device.engine import device_name
from bench.records.directory import RecordError, RunInfo, make_folder, write_atomically
from bench.records.soundness import signature
from methods.architecture import Architecture
from methods.base import GradientSearch, Method, SamplingSearch, SharedWeights
from methods.parts.cpu_choices import CpuChoices
from methods.registry import get_method

FILE_NAME = "estimates.json"
LONGEST = 1e12
"""Seconds; a larger estimate was not made by timing."""
UNTIMED = ("search_seed", "retrain_seed", "source", "match", "proposal")
"""Parts of a configuration that are not timed."""
OF_COSTS = ("cost", "latency", "network")
"""Of a search by gradients: a cost in its loss takes little beside a step and is left out, whatever it weighs;
`network` is what the cost is of."""

Place = tuple[tuple[str, str], ...]
"""Device, torch and, on a CPU, its choices: sorted names and values."""


@dataclass(frozen=True)
class Timing:
    """Of one run on one device.

    Attributes:
        seconds: from start to end; an upper bound for methods that may stop early.
        peak_memory: bytes that its steps hold on a GPU; None where that was not measured.
        where: as `Place`; empty for what earlier versions kept.
        part: of a batch that its steps were timed on; below 1 `seconds` are an upper bound.
    """

    seconds: float
    peak_memory: int | None = None
    where: Place = ()
    part: float = 1.0

    @property
    def device(self) -> str:
        return dict(self.where).get("device", "")


def place_of(device: torch.device, choices: CpuChoices) -> Place:
    """Where this process would time a run."""
    where = {"device": device_name(device), "torch": torch.__version__}
    if device.type == "cpu":
        where["cpu_choices"] = str(choices)
    return tuple(sorted(where.items()))


def sources_of(planned: Sequence[RunInfo]) -> dict[str, RunInfo]:
    """By signature of a run that fits or inherits, the one that has what it is of: latencies, or a search's weights."""
    by_signature = {info.signature: info for info in planned}
    resting = [info for info in planned if info.phase in ("fit", "inherit") and info.needs]
    return {info.signature: by_signature[info.needs[0]] for info in resting if info.needs[0] in by_signature}


def key_of(info: RunInfo, network: Architecture | None, source: RunInfo | None, where: Place) -> str:
    """What a timing is kept by; the same for runs that differ in their seeds, or in what their searches weigh, alone.

    Args:
        network: what is trained, or stands in for it.
        source: see `sources_of`.
    """
    untimed = UNTIMED + OF_COSTS if _is_a(GradientSearch, info) else UNTIMED
    config = {k: v for k, v in info.config.items() if k not in untimed}
    if network is not None:
        config["architecture"] = network.digest
    if info.phase == "inherit" and source is not None:
        config["architecture"] = {**config["architecture"], "run": key_of(source, None, None, ())}
    if _was_timed_in_part(info):
        config["timed"] = "whole"
    return signature({"config": config, **dict(where)})


def _was_timed_in_part(info: RunInfo) -> bool:
    """Whether earlier versions left something out: scores of networks, or architecture steps that begin late."""
    begins_late = bool(info.config.get("options", {}).get("arch_start_epoch"))
    return begins_late or _is_a(SamplingSearch, info) or _is_a(SharedWeights, info)


def _is_a(kind: type[Method], info: RunInfo) -> bool:
    return info.phase == "search" and issubclass(get_method(info.method), kind)


def read_timings(runs_dir: Path) -> dict[str, Timing]:
    """All timings by their keys; what cannot be read is left out, to be timed again."""
    try:
        content = json.loads((runs_dir / FILE_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    found = content.items() if isinstance(content, dict) else ()
    read = {key: _read(value) for key, value in found}
    return {key: timing for key, timing in read.items() if timing is not None and 0 <= timing.seconds < LONGEST}


def _read(value: Any) -> Timing | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Timing(float(value))
    try:
        where = tuple(sorted((str(name), str(what)) for name, what in dict(value["where"]).items()))
        peak = value["peak_memory"]
        return Timing(
            float(value["seconds"]), None if peak is None else int(peak), where, float(value.get("part", 1.0))
        )
    except (KeyError, TypeError, ValueError):
        return None


def write_timings(runs_dir: Path, timings: Mapping[str, Timing]) -> None:
    """What cannot be kept is timed again the next time."""
    content = {key: {**asdict(timing), "where": dict(timing.where)} for key, timing in timings.items()}
    with contextlib.suppress(RecordError):
        make_folder(runs_dir)
        write_atomically(runs_dir / FILE_NAME, json.dumps(content, indent=1))


def timed_on(
    timings: Mapping[str, Timing],
    planned: Sequence[RunInfo],
    networks: Mapping[str, Architecture],
    device: str | None = None,
) -> dict[str, Timing]:
    """What is known of planned runs on a device, by signature; empty where nothing of these runs was timed there.

    Args:
        networks: by signature, of the trainings.
        device: its name; None for the one on which most of these runs were timed, a GPU before a CPU.
    """
    places = {timing.where for timing in timings.values() if timing.where and device in (None, timing.device)}
    found: dict[Place, dict[str, Timing]] = {}
    by_name, sources = {info.signature: info for info in planned}, sources_of(planned)
    for where in sorted(places):
        keys = {name: key_of(by_name[name], networks.get(name), sources.get(name), where) for name in by_name}
        found[where] = {name: timings[key] for name, key in keys.items() if key in timings}
    best = max(found, key=lambda where: (bool(found[where]) and _is_gpu(where), len(found[where])), default=None)
    return found[best] if best is not None else {}


def said_of_parts(timings: Sequence[Timing]) -> str:
    """In brackets, where some were timed on a part of a batch; nothing otherwise."""
    parts = [timing for timing in timings if timing.part < 1]
    kinds = len({timing.seconds for timing in parts})
    what = "kind of run" if kinds == 1 else "kinds of run"
    if not parts:
        return ""
    return f" (at most: steps of {kinds} {what} are too long here and were timed on fewer images)"


def devices(timings: Mapping[str, Timing]) -> list[str]:
    """Names of the devices that something was timed on, most timings first."""
    return [name for name, _ in Counter(timing.device for timing in timings.values() if timing.device).most_common()]


def _is_gpu(where: Place) -> bool:
    return "cpu_choices" not in dict(where)
