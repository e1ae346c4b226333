"""The networks that an experiment's trainings are of, to be measured: each once, as large as it was trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.latency.conditions import LatencyError
from bench.latency.dataset import GIVEN, Job, read_data
from bench.records.directory import Record, RecordError, read_records
from bench.records.inputs import found_architecture
from methods.spaces import NetworkSettings


@dataclass(frozen=True)
class Found:
    """Attributes:
    space: that most of them are of; its reference is measured beside all of them.
    jobs: in the order of their digests.
    problems: a line for each training that is left out.
    """

    space: str
    settings: NetworkSettings
    classes: int
    image_size: int
    jobs: tuple[Job, ...]
    problems: tuple[str, ...]


def found_networks(folder: Path) -> Found:
    """Of all finished trainings among the records.

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
    architectures = {}
    for record in trained:
        try:
            found = found_architecture(record)
            architectures[found.digest] = found
        except RecordError as error:
            problems.append(str(error))
    jobs = tuple(Job(GIVEN, index, architectures[digest]) for index, digest in enumerate(sorted(architectures)))
    spaces = Counter(job.architecture.space for job in jobs)
    first = trained[0]
    shape, classes = _task(first)
    settings = NetworkSettings(**first.info.config["network"], in_channels=shape[0])
    most = min(spaces, key=lambda space: (-spaces[space], space)) if spaces else ""
    return Found(most, settings, classes, shape[-1], jobs, tuple(problems))


def begun_with(path: Path, space: str) -> str:
    """The space whose reference a file has already; else the one given."""
    return read_data(path).conditions.space if path.exists() else space


def _task(record: Record) -> tuple[tuple[int, ...], int]:
    network = (record.result or {}).get("network") or {}
    try:
        return tuple(map(int, network["image_shape"])), int(network["classes"])
    except (KeyError, TypeError, ValueError):
        raise LatencyError(f"{record.path} does not say what images its network takes; train it anew") from None


def _size(record: Record) -> str:
    return f"{record.info.config.get('network')} {_task(record)}"
