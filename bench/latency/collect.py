"""Measuring a data set: what is not in its file yet, one network after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from bench.latency.backends import prepared, ready, subnormals_as_zero
from bench.latency.conditions import Conditions
from bench.latency.dataset import Job, LatencyData, Measured, continued, read_data
from bench.latency.timing import Call, Timed, timed
from methods.spaces import get_space

Measure = Callable[[Job], Timed]
Told = Callable[[int, int, Measured], None]


def collect(
    path: Path,
    conditions: Conditions,
    planned: Iterable[Job],
    told: Told = lambda done, total, measured: None,
    measure: Measure | None = None,
) -> LatencyData:
    """Measure all planned networks that the file does not hold; it can be stopped anywhere and goes on from there.

    Args:
        told: is given how many are done of how many, after each.
        measure: another way than to build and time, in tests.

    Raises:
        LatencyError: as `continued`, `prepared`.
    """
    everything = list(planned)
    with continued(path, conditions) as (before, writer):
        known = {each.key for each in before.measured}
        left = [job for job in everything if job.key not in known]
        use = measure or (Beside(conditions) if left else None)
        for done, job in enumerate(left, start=len(everything) - len(left) + 1):
            assert use is not None
            measured = Measured(job, use(job), job.architecture.digest)
            writer.add(measured)
            told(done, len(everything), measured)
    return read_data(path)


class Beside:
    """Times networks beside the space's reference, which is built once."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        ready(conditions)
        self.reference: Call = prepared(get_space(conditions.space).reference(), conditions)

    def __call__(self, job: Job) -> Timed:
        network = prepared(job.architecture, self.conditions)
        with subnormals_as_zero():
            return timed(network, self.reference, self.conditions.protocol)
