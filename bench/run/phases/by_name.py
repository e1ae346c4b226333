"""The phases of a run: search finds an architecture, transform makes a trained one smaller, train trains it.

Score trains one proposal of a search whose proposals are runs of their own. Inherit evaluates networks on a search's
weights as they are. Collect measures latencies that a search is to heed, fit fits predictors to them. Lookup asks a
table of trained networks instead of a training; count builds the network and counts it. Compare
trains the options of one setting of a controlled comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench.records.run_info import RunInfo
from bench.run.phases.context import RunContext
from methods.base import GradientSearch
from methods.registry import get_method


@dataclass(frozen=True)
class Phase:
    """How the runs of a phase are done.

    Attributes:
        name: also of its module in this room, which is imported when a run is done: looking up brings libraries with it
            that no training needs.
        shared: whether several processes can do a run together.
    """

    name: str
    shared: Callable[[RunInfo], bool]

    def run(self, run: RunContext) -> dict[str, Any]:
        """Do one and return its result (empty in the processes that do not write)."""
        done: dict[str, Any] = getattr(import_module(f"bench.run.phases.{self.name}"), f"run_{self.name}")(run)
        return done


def _never(info: RunInfo) -> bool:
    return False


def _by_gradient(info: RunInfo) -> bool:
    return issubclass(get_method(info.method), GradientSearch)


_SHARED = {
    "search": _by_gradient,
    "train": lambda info: True,
    **dict.fromkeys(("collect", "fit", "score", "transform", "inherit", "lookup", "count", "compare"), _never),
}
PHASES = {name: Phase(name, shared) for name, shared in _SHARED.items()}
