"""What MGAS needs of a space: the supernet with its units, the guard's groups and its stages, and the way out of it.

A folder here is a family of spaces; its `space.py` has them as `PRUNABLE` (`methods.gradient.mgas.spaces` finds it).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import Plan, Slot
from methods.gradient.mgas.supernet import Supernet
from methods.gradient.mgas.switches import Switches

Narrowing = Sequence[Any]
"""For every cell, the channels that it keeps, in the words of its space."""


class PlanNarrowing(Protocol):
    """Decides the channels of every cell; changes nothing.

    `cells` may be narrowed; the outputs of `pinned` feed a classifier; operations in `dropped`, by cell, are treated
    as removed already.
    """

    def __call__(
        self,
        net: Any,
        switches: Switches,
        cells: Collection[int],
        pinned: Collection[int],
        dropped: Mapping[int, Collection[Slot]] | None = None,
    ) -> Narrowing: ...


class Export(Protocol):
    """The discrete network that the committed masks stand for, after a narrowing and without what is `dropped`.

    `with_masks` is False where only the dense network matters.
    """

    def __call__(
        self,
        net: Any,
        plans: Any,
        dropped: Mapping[int, Collection[Slot]] | None = None,
        with_masks: bool = True,
    ) -> Architecture: ...


@dataclass(frozen=True)
class PrunableSpace:
    """Attributes:
    space: by which an experiment asks for it.
    size: the options that give the size of its supernet; the others of `SIZES` say nothing there.
    switches: those that mean something there (`methods.gradient.mgas.switches`).
    plan: depth and stages by the options channels and cells.
    supernet: (plan, context, switches, discretisation, with heads for early stages) -> a new one, from torch's global
        generator.
    plan_narrowing, whole: see `PlanNarrowing`; the one that narrows nothing.
    narrow: cuts the supernet, and momentum by parameter name, to such a plan.
    export: see `Export`.
    cut_filters: (supernet, whether the target is reached) -> how many filters it removed, at the epoch limit.
    counts: parameters ("params"; "params_nonzero" without masked weights) and MACs ("macs") of the retrained network,
        auxiliary head excluded, in closed form.
    """

    space: str
    size: tuple[str, ...]
    switches: Collection[str]
    plan: Callable[[int, int], Plan]
    supernet: Callable[[Any, SearchContext, Switches, Discretisation, bool], Supernet]
    plan_narrowing: PlanNarrowing
    whole: Callable[[Any], Narrowing]
    narrow: Callable[[Any, Any, MutableMapping[str, Tensor]], None]
    export: Export
    cut_filters: Callable[[Any, Callable[[], bool]], int]
    counts: Callable[[Architecture, SearchContext], dict[str, int]]
