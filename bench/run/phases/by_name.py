"""The phases of a run: search finds an architecture, transform makes a trained one smaller, train trains it.

Lookup asks a table of trained networks instead of a training; count builds the network and counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.records.run_info import RunInfo
from bench.run.phases.count import run_count
from bench.run.phases.lookup import run_lookup
from bench.run.phases.search import run_search
from bench.run.phases.task import Task
from bench.run.phases.train import run_train
from bench.run.phases.transform import run_transform
from methods.base import GradientSearch
from methods.registry import get_method


@dataclass(frozen=True)
class Phase:
    """How the runs of a phase are done.

    Attributes:
        run: does one and returns its result (empty in the processes that do not write).
        shared: whether several processes can do a run together.
    """

    run: Callable[[Task], dict[str, Any]]
    shared: Callable[[RunInfo], bool]


def _never(info: RunInfo) -> bool:
    return False


def _by_gradient(info: RunInfo) -> bool:
    return issubclass(get_method(info.method), GradientSearch)


PHASES = {
    "search": Phase(run_search, _by_gradient),
    "transform": Phase(run_transform, _never),
    "train": Phase(run_train, lambda info: True),
    "lookup": Phase(run_lookup, _never),
    "count": Phase(run_count, _never),
}
