"""Snapshots of falling size, and which of them answers a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.gradient.mgas.monitor import remaining_ratios
from methods.gradient.mgas.sizes import search_size
from methods.gradient.mgas.space import PrunableSpace
from methods.gradient.mgas.supernet import Supernet


@dataclass(frozen=True)
class Snapshot:
    """An architecture of the final phase.

    Attributes:
        sizes: its counts ("params", "params_nonzero", "macs") and the search's own measure ("size").
        accuracy: of the supernet at that moment, percent of the validation part; None without one.
        epoch: of the whole search.
        forced: cut to its size by the epoch limit rather than by thresholds.
    """

    architecture: Architecture
    sizes: Mapping[str, float]
    accuracy: float | None
    epoch: int
    forced: bool = False

    def to_state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {
            "document": {**self.architecture.to_json(), "masks": {}},
            "masks": dict(self.architecture.masks),
            "sizes": dict(self.sizes),
            "accuracy": self.accuracy,
            "epoch": self.epoch,
            "forced": self.forced,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Snapshot:
        document, masks = dict(state["document"]), {name: mask.bool().cpu() for name, mask in state["masks"].items()}
        fields = ("space", "genotype", "scale", "widths", "provenance")
        architecture = Architecture(masks=masks, **{name: document[name] for name in fields})
        rest = ("sizes", "accuracy", "epoch", "forced")
        return cls(architecture, **{name: state[name] for name in rest})


def take(
    space: PrunableSpace,
    net: Supernet,
    context: SearchContext,
    measure: str,
    accuracy: float | None,
    epoch: int,
    forced: bool,
    provenance: Mapping[str, Any],
) -> Snapshot:
    """The supernet as it is now, after its narrowing.

    Args:
        measure: of `methods.gradient.mgas.sizes.search_size`.
        provenance: what the architecture should remember besides its sizes and remaining ratios.
    """
    architecture, cells = space.export(net, space.whole(net)), net.executed()
    sizes = {**space.counts(architecture, context), "size": search_size(cells, measure)}
    ratios = {level: [round(x, 4) for x in values] for level, values in remaining_ratios(cells).items()}
    found = {
        **provenance,
        "epoch": epoch,
        "sizes": sizes,
        "valid_accuracy": accuracy,
        "remaining_ratios": ratios,
        "cut_at_epoch_limit": forced,
    }
    return Snapshot(replace(architecture, provenance=found), sizes, accuracy, epoch, forced)


def choose(snapshots: Sequence[Snapshot], target: float, on: str, tolerance: float) -> Snapshot:
    """The answer to a target: the most accurate snapshot just below it, or else the largest one below it.

    Args:
        tolerance: "just below" is within this share of the target.

    Raises:
        MethodError: no snapshot is small enough.
    """
    below = [snapshot for snapshot in snapshots if snapshot.sizes[on] <= target]
    if not below:
        smallest = min((snapshot.sizes[on] for snapshot in snapshots), default=None)
        reached = "no snapshot was taken" if smallest is None else f"the smallest snapshot has {smallest:,.6g}"
        raise MethodError(
            f"the search has no architecture with {on} <= {target:,.6g}: {reached}. Raise max_epochs or ask for more"
        )
    near = [snapshot for snapshot in below if snapshot.sizes[on] >= (1.0 - tolerance) * target]
    if near and all(snapshot.accuracy is not None for snapshot in near):
        return max(near, key=lambda snapshot: (snapshot.accuracy or 0.0, -snapshot.sizes[on]))
    return max(near or below, key=lambda snapshot: snapshot.sizes[on])
