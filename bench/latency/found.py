"""The networks that an experiment's trainings are of, to be measured: each once, as large as it was trained.

Each space has a file of its own, so that every network is measured beside the reference of its space.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.latency.conditions import LatencyError
from bench.latency.dataset import GIVEN, Job
from bench.records.directory import Record, RecordError, read_records
from bench.records.inputs import found_architecture
from methods.architecture import Architecture
from methods.spaces import NetworkSettings


@dataclass(frozen=True)
class Found:
    """Networks of one space.

    Attributes:
        jobs: in the order of their digests.
    """

    space: str
    settings: NetworkSettings
    classes: int
    image_size: int
    jobs: tuple[Job, ...]


def found_networks(folder: Path) -> tuple[list[Found], list[str]]:
    """Of all finished trainings among the records, by space; and a line for each training that is left out.

    Raises:
        LatencyError: there are none, or they are not of one size, so that their latencies are not comparable.
    """
    records, problems = read_records(folder)
    trained = [each for each in records if each.info.phase == "train" and each.result is not None]
    if not trained:
        raise LatencyError(f"no finished training in {folder}; `dasbench run` makes some")
    sizes = {_size(each) for each in trained}
    if len(sizes) > 1:
        raise LatencyError(f"the trainings of {folder} have {len(sizes)} sizes of networks, classes or images")
    by_space: dict[str, dict[str, Architecture]] = defaultdict(dict)
    for record in trained:
        try:
            architecture = found_architecture(record)
            by_space[architecture.space][architecture.digest] = architecture
        except RecordError as error:
            problems.append(str(error))
    shape, classes = _task(trained[0])
    settings = NetworkSettings(**trained[0].info.config["network"], in_channels=shape[0])
    found = []
    for space, architectures in sorted(by_space.items()):
        ordered = enumerate(architectures[digest] for digest in sorted(architectures))
        jobs = tuple(Job(GIVEN, index, each) for index, each in ordered)
        found.append(Found(space, settings, classes, shape[-1], jobs))
    return found, problems


def _task(record: Record) -> tuple[tuple[int, ...], int]:
    network = (record.result or {}).get("network") or {}
    try:
        return tuple(map(int, network["image_shape"])), int(network["classes"])
    except (KeyError, TypeError, ValueError):
        raise LatencyError(f"{record.path} does not say what images its network takes; train it anew") from None


def _size(record: Record) -> str:
    return f"{record.info.config.get('network')} {_task(record)}"
