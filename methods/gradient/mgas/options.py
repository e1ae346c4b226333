"""Options of MGAS, with the released values as defaults wherever there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from methods.base import MethodError
from methods.domain import check, within
from methods.gradient.mgas.discretize import LEVELS
from methods.gradient.mgas.presets import PRESETS
from methods.gradient.mgas.spaces import prunable
from methods.gradient.mgas.switches import LATER, OFFICIAL, Switches, resolve_switches
from methods.parts.pace import Pace

Granularity = Literal["operation", "filter", "weight"]

SIZES = ("channels", "cells")
"""Options that give the size of a supernet, where its space has no size of its own."""

BY_PHASE = ("lambda_grow", "lambda_few", "lambda_many", "lambda_ratios", "lambda_start")
"""Options of the controller; four values for a search of one stage mean its last stage's and the final phase's."""


@dataclass(frozen=True)
class MGASOptions:
    """Settings of one MGAS search.

    What is "by phase" holds one value for all phases, or one for each (the stages, then the final phase). In an
    experiment file `preset` fills in the settings of a release (`methods.gradient.mgas.presets`).

    Attributes:
        space: that is searched (`methods.gradient.mgas.spaces`). Chains have a size of their own, and leave channels,
            cells and the switches about what cells share as they are.
        channels, cells: scale of the supernet and of its answer (24 and 8: the published small network).
        targets: sizes asked for, largest first or in any order; every one is answered by its own snapshot.
        target_on: what `targets` counts in the retrained network: parameters, parameters that no mask removes, MACs
            of one image; or "size", the search's own measure in millions (see the switch `size`).
        snapshot_tolerance: snapshots not smaller than a target by more than this share compete for it.
        valid_fraction: part of the training images kept away from the search, to choose between snapshots.
        autoaugment: AutoAugment in the search, as published; False for a protocol equal to other methods'.
        autoaugment_policy: torchvision's, or the released code's (see `bench.data.autoaugment`).
        compat, switches: see `methods.gradient.mgas.switches`.
        granularities: what is searched; units of the others are never removed.
        fixed_ratios: the fixed-ratio twin: share of each granularity to keep, by quantile instead of learned
            thresholds. Empty: learned.
        fixed_ratio_epochs: epochs after warm-up at the end of which the twin commits, once a stage.
        stages: 3, or 1 for a single stage over all cells.
        stage_ratios: by stage, the share of its size at the start at which a stage ends.
        reevaluation: regrow operations after a stage, and let later stages prune the cells of earlier ones.
        regrow_share: regrown operations for each one that the stage removed.
        warmup_epochs: by phase, epochs in which only weights are trained.
        commit_interval: epochs between commits.
        max_epochs: of the whole search; a search that gets there in its final phase is cut to its targets.
        phase_epochs: by phase, most epochs (warm-up included) before the next phase starts anyway; empty: no limit.
        weight_lr, weight_decay, momentum, gradient_clip: SGD for module weights.
        alpha_lr, kappa_lr: SGD for the gates of operations and filters.
        threshold_lr: SGD for the thresholds of operations and filters; weight_threshold_lr for those of weights.
        threshold_pace: factor on both. Thresholds rise by about 10 * lr * lambda * exp(-t) a step, so that their pace
            per epoch is that of 521 steps; an epoch of n steps keeps it with a pace of 521 / n.
        arch_pace: "published" keeps what moves gates and thresholds in an epoch of the released search, see
            `methods.gradient.mgas.optimizers.pace_of`.
        mu: weight of the operations' costs in l_cost.
        lambda_*: the controller, see `controller.LambdaRule`; grow, few, many, ratios and start are by phase.
            `lambda_start` is lambda's value after a phase's warm-up.
        reset_thresholds: every phase starts with all thresholds at zero, or they carry over.
        narrow_in_stages: narrow after every commit of a stage, too, not only when it ends.
    """

    space: str = field(default="darts_cell", metadata={"absent": "darts_cell"})
    channels: int = field(default=24, metadata=within("[2, 4096]"))
    cells: int = field(default=8, metadata=within("[3, 200]"))
    batch_size: int = field(default=96, metadata=within("[1, 1000000]"))
    targets: tuple[float, ...] = field(default=(704_082.0,), metadata=within("(0, inf)"))
    target_on: Literal["params", "params_nonzero", "macs", "size"] = "params"
    snapshot_tolerance: float = field(default=0.1, metadata=within("[0, 1]"))
    valid_fraction: float = field(default=0.1, metadata=within("[0, 0.9]"))
    autoaugment: bool = True
    compat: Literal["fixed", "official"] = "fixed"
    switches: dict[str, Any] = field(default_factory=dict)
    granularities: tuple[Granularity, ...] = LEVELS  # type: ignore[assignment]
    fixed_ratios: dict[str, float] = field(default_factory=dict, metadata=within("(0, 1]"))
    fixed_ratio_epochs: int = field(default=8, metadata=within("[1, 100000]"))
    stages: Literal[1, 3] = 3
    stage_ratios: tuple[float, ...] = field(default=(0.3,), metadata=within("[0, 1]"))
    reevaluation: bool = True
    regrow_share: float = field(default=0.2, metadata=within("[0, 1]"))
    warmup_epochs: tuple[int, ...] = field(default=(5,), metadata=within("[0, 100000]"))
    commit_interval: int = field(default=2, metadata=within("[1, 100000]"))
    max_epochs: int = field(default=300, metadata=within("[1, 100000]"))
    phase_epochs: tuple[int, ...] = field(default=(), metadata=within("[1, 100000]"))
    weight_lr: float = field(default=0.01, metadata=within("[0, inf)"))
    weight_decay: float = field(default=3e-4, metadata=within("[0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 0.999]"))
    gradient_clip: float = field(default=5.0, metadata=within("(0, inf)"))
    alpha_lr: float = field(default=1.0, metadata=within("[0, inf)"))
    kappa_lr: float = field(default=1.0, metadata=within("[0, inf)"))
    threshold_lr: float = field(default=0.1, metadata=within("[0, inf)"))
    weight_threshold_lr: float = field(default=0.001, metadata=within("[0, inf)"))
    threshold_pace: float = field(default=1.0, metadata=within("[0, inf)"))
    arch_pace: Pace = field(default="own", metadata={"absent": "own"})
    mu: float = field(default=0.0, metadata=within("[0, inf)"))
    lambda_delta: float = field(default=1e-5, metadata=within("[0, inf)"))
    lambda_grow: float | tuple[float, ...] = field(default=4.0, metadata=within("[1, inf)"))
    lambda_shrink: float = field(default=2.0, metadata=within("[1, inf)"))
    lambda_few: int | tuple[int, ...] = field(default=24, metadata=within("[0, inf)"))
    lambda_many: int | tuple[int, ...] = field(default=48, metadata=within("[0, inf)"))
    lambda_cap: float = field(default=100.0, metadata=within("(0, inf)"))
    lambda_ratios: tuple[float, ...] = field(default=(1.0, 1.0, 1.0, 0.5), metadata=within("[0, inf)"))
    lambda_start: tuple[float, ...] = field(default=(0.0,), metadata=within("[0, inf)") | {"absent": (0.0,)})
    reset_thresholds: bool = field(default=True, metadata={"absent": True})
    narrow_in_stages: bool = field(default=False, metadata={"absent": False})
    autoaugment_policy: Literal["torchvision", "released"] = field(
        default="torchvision", metadata={"absent": "torchvision"}
    )

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def __post_init__(self) -> None:
        check(self)
        if self.compat == "official":
            official = {name: getattr(OFFICIAL, name) for name in LATER}
            object.__setattr__(self, "switches", official | dict(self.switches))
        self.resolved_switches()
        self._check_space()
        _require(bool(self.targets), "targets needs at least one positive size")
        self._check_levels()
        for name, length in (("stage_ratios", self.stages), ("warmup_epochs", self.phases)):
            _require(len(getattr(self, name)) in (1, length), f"{name} needs 1 or {length} values")
        _require(len(self.phase_epochs) in (0, 1, self.phases), f"phase_epochs needs 0, 1 or {self.phases} values")
        for name in BY_PHASE:
            number = len(_values(getattr(self, name)))
            _require(number in (1, 4, self.phases), f"{name} needs 1 or {self.phases} values")
        for warmup, cap in zip(self.by_phase("warmup_epochs"), self.by_phase("phase_epochs"), strict=False):
            _require(cap > warmup, f"a phase of at most {cap} epochs cannot have {warmup} epochs of warm-up")

    def _check_space(self) -> None:
        space = prunable(self.space)
        usual = {each.name: each.default for each in fields(self)}
        for name in SIZES:
            _require(
                name in space.size or getattr(self, name) == usual[name],
                f"{name}={getattr(self, name)} says nothing of a supernet of {self.space}, whose size is that of the "
                f"space; leave {name} at {usual[name]}",
            )
        released = set(space.switches) >= {each.name for each in fields(Switches)}
        _require(released or self.compat == "fixed", f"compat is {self.compat}: no search of {self.space} was released")
        for name in self.switches:
            _require(
                name in space.switches,
                f"switch {name} says nothing of {self.space}; these do: {', '.join(sorted(space.switches))}",
            )
        _require(
            self.switches.get("size") != "published" or released,
            f"size 'published' measures released networks, and none of {self.space} was released",
        )

    def _check_levels(self) -> None:
        order = [level for level in LEVELS if level in self.granularities]
        _require(
            list(self.granularities) == order and "operation" in order,
            f"granularities are chosen from {list(LEVELS)} in this order, operation always; got "
            f"{list(self.granularities)}",
        )
        if self.fixed_ratios:
            _require(
                set(self.fixed_ratios) == set(self.granularities),
                f"fixed_ratios needs one share for each of {list(self.granularities)}; got {sorted(self.fixed_ratios)}",
            )

    @property
    def phases(self) -> int:
        """Number of phases: the stages and the final one."""
        return self.stages + 1

    def by_phase(self, name: str) -> tuple[Any, ...]:
        """An option with one value per phase (stages only for `stage_ratios`)."""
        values = _values(getattr(self, name))
        if name in BY_PHASE and len(values) == 4 and self.phases == 2:
            return values[2:]
        length = self.stages if name == "stage_ratios" else self.phases
        return values * length if len(values) == 1 else values

    def resolved_switches(self) -> Switches:
        return resolve_switches(self.compat, self.switches)


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise MethodError(message)
