"""Where the released code and this implementation differ, switch by switch (see docs/mgas.md for what each changes).

`compat: fixed` (the default) and `compat: official` are the two presets; single switches can be set on top of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from methods.base import MethodError
from methods.domain import check, shown, within


@dataclass(frozen=True)
class Switches:
    """One field per documented difference; the defaults are the preset `fixed`.

    Attributes:
        guard: what keeps a node alive when all its operations fall below their thresholds: the operation with the
            largest gate, or the last in scan order (largest edge, then largest operation).
        node_count: the n of L_cost is counted on the node's own edges, or for nodes 3 and 4 on node 2's.
        size: what stage targets are measured in. "kept": weights of kept filters, stride-2 skips included; "nonzero":
            the same without weights that are masked; "published": the released measure with its misplaced skip charge.
        narrow: "aligned": one channel set per state, shared by all producers and consumers, normalisation and masks
            sliced. "separate": every operation keeps its own subset; normalisation shift, statistics and filter masks
            start anew.
        restart: with `narrow: separate`, the cells whose shift, statistics and filter masks start anew: those that get
            narrower, or all that the narrowing goes through, the one in front of a classifier included.
        skip_halves: with `narrow: separate`, whether the second half of a stride-2 layer is ranked by its own gates or
            by the first half's, whose gates and misplaced scales it then takes along.
        width_rule: "mean": all states of a cell get the mean of the six kept counts, not below `width_floor`.
            "lossless": only channels that are off in every producer go.
        width_floor: smallest width of a cell as a share of its initial width, for the "mean" rule.
        rebuild_final: after a narrowing in the final phase the optimiser follows the new parameters (their momentum
            narrowed too), or loses them: cells' weights and filter gates then stand still.
        stop: a commit removes operations in ascending gate until the phase's target is met, or all that are below
            their thresholds.
        empty_operation: an operation that would lose its last filter or weight is a candidate for removal instead,
            or stays as a constant.
        reduction_gate: the filter gate of a stride-2 skip stands after the normalisation and is thresholded, or before
            it and is not.
        regrow_saturated: a draw whose operation has no removed edge left is drawn again, or dropped.
        pool_norm: batch normalisation after pools in the supernet (retrained networks always have it).
        threshold_bounds: clamp operation and filter thresholds to this interval after every step.
    """

    guard: Literal["strongest", "last"] = "strongest"
    node_count: Literal["own", "published"] = "own"
    size: Literal["kept", "nonzero", "published"] = "kept"
    narrow: Literal["aligned", "separate"] = "aligned"
    restart: Literal["narrowed", "all"] = "narrowed"
    skip_halves: Literal["own", "first"] = "own"
    width_rule: Literal["mean", "lossless"] = "mean"
    width_floor: float = field(default=0.5, metadata=within("(0, 1]"))
    rebuild_final: bool = True
    stop: Literal["target", "overshoot"] = "target"
    empty_operation: Literal["remove", "keep"] = "remove"
    reduction_gate: Literal["after", "before"] = "after"
    regrow_saturated: Literal["redraw", "drop"] = "redraw"
    pool_norm: bool = False
    threshold_bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.threshold_bounds is not None and self.threshold_bounds[0] > self.threshold_bounds[1]:
            raise MethodError(f"threshold_bounds is {self.threshold_bounds}; the first must not be above the second")


FIXED = Switches()
OFFICIAL = Switches(
    guard="last",
    node_count="published",
    size="published",
    narrow="separate",
    restart="all",
    skip_halves="first",
    rebuild_final=False,
    stop="overshoot",
    empty_operation="keep",
    reduction_gate="before",
    regrow_saturated="drop",
)

LATER = ("restart", "skip_halves")
"""Switches that `official` did not have at first. Options write them out: a run says which behaviour it had."""


def resolve_switches(compat: str, changes: Mapping[str, Any]) -> Switches:
    """The preset with single switches changed.

    Raises:
        MethodError: unknown switch or value, or a combination that has no meaning.
    """
    preset = {"fixed": FIXED, "official": OFFICIAL}.get(compat)
    if preset is None:
        raise MethodError(f"compat is {compat!r}; valid: fixed, official")
    known = [field.name for field in fields(Switches)]
    for name in changes:
        if name not in known:
            raise MethodError(f"unknown switch {shown(name)}; valid: {', '.join(known)}")
    bounds = changes.get("threshold_bounds")
    pair = {"threshold_bounds": tuple(bounds)} if isinstance(bounds, list) else {}
    switches = replace(preset, **{**changes, **pair})
    if switches.narrow == "separate" and switches.width_rule == "lossless":
        raise MethodError("width_rule 'lossless' needs narrow 'aligned': separate channel subsets lose the function")
    return switches
