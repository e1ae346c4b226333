"""From runs that need each other to job arrays that wait for each other, task by task.

The tasks of an array are numbered from 0 without a gap. Runs of one phase that need nothing unfinished make one array.
Runs that need others go into arrays whose task i needs task i of the arrays before (`aftercorr`), so that a failed
search holds back its own retraining and no other. What does not line up goes into arrays of runs that need the same
(`afterok`), often a job of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.records.directory import RunInfo


@dataclass(frozen=True)
class Place:
    """Where a run is in SLURM.

    Attributes:
        job: number of an array still to be submitted, or the job id of one that is.
        task: index in the array; None when it is a job of its own.
        position: of the run in the array, counting runs.
    """

    job: int | str
    task: int | None
    position: int


@dataclass
class Array:
    """Runs submitted together.

    Attributes:
        per_task: runs that one task does, one after the other.
        corresponding: task i starts when task i of each of these has succeeded.
        after: the whole job starts when each of these has succeeded.
    """

    phase: str
    runs: list[RunInfo]
    per_task: int = 1
    corresponding: tuple[int | str, ...] = ()
    after: tuple[Place, ...] = ()

    @property
    def tasks(self) -> list[list[RunInfo]]:
        return [self.runs[start : start + self.per_task] for start in range(0, len(self.runs), self.per_task)]

    def places(self, job: int | str) -> dict[str, Place]:
        """Where each of its runs is, by signature, when it is submitted as `job`."""
        alone = len(self.tasks) == 1
        return {
            info.signature: Place(job, None if alone else position // self.per_task, position)
            for position, info in enumerate(self.runs)
        }

    def dependency(self, ids: Mapping[int | str, str]) -> str | None:
        """The value of sbatch's --dependency, given the job ids of the arrays submitted so far."""
        parts = ["aftercorr:" + ":".join(ids.get(job, str(job)) for job in self.corresponding)] * bool(
            self.corresponding
        )
        tasks = sorted({_task_id(ids.get(place.job, str(place.job)), place.task) for place in self.after})
        parts += ["afterok:" + ":".join(tasks)] * bool(tasks)
        return ",".join(parts) or None


def _task_id(job: str, task: int | None) -> str:
    return job if task is None else f"{job}_{task}"


@dataclass
class _Layers:
    """Runs that need tasks of the same arrays, sorted into arrays by the position they need."""

    layers: list[dict[int, RunInfo]] = field(default_factory=list)

    def add(self, position: int, info: RunInfo) -> None:
        layer = next((layer for layer in self.layers if position not in layer), None)
        if layer is None:
            layer = {}
            self.layers.append(layer)
        layer[position] = info


def arrange(
    runs: Iterable[RunInfo],
    queued: Mapping[str, Place] | None = None,
    per_task: Mapping[str, int] | None = None,
    largest: int = 1000,
) -> list[Array]:
    """Arrays to be submitted in this order.

    Args:
        runs: to be submitted, every one after those it needs; needs that are neither among them nor queued are done.
        queued: where runs are that were submitted before, by signature.
        per_task: runs of one task, by phase.
        largest: most tasks of an array (SLURM's MaxArraySize less one).
    """
    left, per_task = list(runs), per_task or {}
    waiting = {info.signature for info in left}
    places: dict[str, Place] = dict(queued or {})
    arrays: list[Array] = []
    while left:
        ready = [info for info in left if not any(need in waiting for need in info.needs)]
        assert ready, "runs that need each other in a circle"
        for array in _level(ready, places, per_task, largest):
            places |= array.places(len(arrays))
            arrays.append(array)
        waiting -= {info.signature for info in ready}
        left = [info for info in left if info.signature in waiting]
    return arrays


def _level(
    ready: list[RunInfo], places: Mapping[str, Place], per_task: Mapping[str, int], largest: int
) -> Iterable[Array]:
    free: dict[str, list[RunInfo]] = defaultdict(list)
    lined_up: dict[tuple[str, tuple[int | str, ...]], _Layers] = defaultdict(_Layers)
    single: list[RunInfo] = []
    for info in ready:
        needed = [places[need] for need in info.needs if need in places]
        jobs = tuple(dict.fromkeys(place.job for place in needed))
        positions = {place.position for place in needed}
        if not needed:
            free[info.phase].append(info)
        elif len(positions) == 1 and all(place.task is not None for place in needed):
            lined_up[info.phase, jobs].add(positions.pop(), info)
        else:
            single.append(info)
    for phase, infos in free.items():
        size = largest * per_task.get(phase, 1)
        for start in range(0, len(infos), size):
            yield Array(phase, infos[start : start + size], per_task.get(phase, 1))
    for (phase, jobs), sorted_runs in lined_up.items():
        for layer in sorted_runs.layers:
            length = next(position for position in range(len(layer) + 1) if position not in layer)
            chunk = _chunk(layer, places)
            if chunk is not None and length > chunk:
                yield Array(phase, [layer.pop(position) for position in range(length)], chunk, corresponding=jobs)
            single += layer.values()
    rounds: dict[tuple[str, tuple[Place, ...]], list[RunInfo]] = defaultdict(list)
    for info in single:
        rounds[info.phase, tuple(places[need] for need in info.needs if need in places)].append(info)
    for (phase, after), infos in rounds.items():
        for start in range(0, len(infos), largest):
            yield Array(phase, infos[start : start + largest], 1, after=after)


def _chunk(layer: Mapping[int, RunInfo], places: Mapping[str, Place]) -> int | None:
    """Runs of one task in the arrays that a layer lines up with; None when they differ."""
    needed = [places[need] for info in layer.values() for need in info.needs if need in places]
    for chunk in range(1, max(place.position for place in needed) + 2):
        if all(place.task == place.position // chunk for place in needed):
            return chunk
    return None
