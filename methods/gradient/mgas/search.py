"""MGAS, multi-granularity architecture search: operations, filters and weights pruned together to a target size.

Liu, Saxena, Cao, Zhao and Ruan, arXiv 2310.15074. One-level: one batch updates weights, gates and thresholds. The
search runs through phases (`methods.gradient.mgas.schedule`); at commits, units below their learned thresholds are
removed for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of
from methods.gradient.mgas.controller import LambdaState, next_lambda
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.export import export, whole
from methods.gradient.mgas.losses import l_cost, l_thre, operation_costs
from methods.gradient.mgas.monitor import operation_histogram, remaining_ratios
from methods.gradient.mgas.narrow import CellChannels, plan_narrowing
from methods.gradient.mgas.optimizers import Optimizers, pace_of
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.progress import Progress
from methods.gradient.mgas.pruning import Candidate, Dropped, by_gate, fewest, grouped, removable, spare_last
from methods.gradient.mgas.regrow import regrow
from methods.gradient.mgas.schedule import Phase, phases
from methods.gradient.mgas.sizes import counts, search_size
from methods.gradient.mgas.slicing import narrow
from methods.gradient.mgas.snapshots import Snapshot, choose, take
from methods.gradient.mgas.supernet import LAST_STAGE, Supernet
from methods.gradient.mgas.topology import Plan
from methods.parts.bilevel import loss_and_sums
from methods.registry import register

THRESHOLDS = ("t_operation", "t_filter", "t_weight", "t_input")

Evaluate = Callable[[], dict[str, float]]
"""Loss and accuracy of the present supernet on the validation part."""


@register(
    "mgas",
    special="prunes operations, filters and weights together by learned thresholds, stage by stage, to target sizes",
    paper="Liu, Saxena, Cao, Zhao and Ruan, arXiv 2310.15074",
    space="dense_cell",
    watched="methods.gradient.mgas.watched:WATCHED",
)
class MGAS(GradientSearch):
    """Multi-granularity architecture search.

    Raises:
        MethodError: options that contradict each other.
    """

    Options = MGASOptions
    split = SearchSplit(train=0.9, valid=0.1, paired=False)
    supernet: Supernet

    def __init__(self, options: MGASOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.switches = options.resolved_switches()
        self.epochs, self.batch_size = options.max_epochs, options.batch_size
        self.split = self.split_of(options)
        named = {"torchvision": "autoaugment-", "released": "autoaugment-pil-"}[options.autoaugment_policy]
        policy = named if options.autoaugment else ""
        self.augmentation = f"crop-flip-{policy}cutout"
        plan = Plan(options.channels, options.cells)
        discretisation = Discretisation(tuple(options.granularities), options.fixed_ratios, self.switches.guard)
        self.supernet = Supernet(plan, context, self.switches, discretisation, heads=options.stages > 1)
        for cell in self.supernet.executed(LAST_STAGE):
            cell.keep_units = options.mu > 0
        self.pace, self.phases = 1.0, phases(options, plan)
        self.generator = torch.Generator().manual_seed(context.seed)
        self.snapshots: list[Snapshot] = []
        self.progress = Progress()
        self.changed = True
        self._enter(0)

    @classmethod
    def split_of(cls, options: MGASOptions) -> SearchSplit:
        return SearchSplit(train=1.0 - options.valid_fraction, valid=options.valid_fraction, paired=False)

    def begin(self, steps: int) -> None:
        pace = pace_of(self.options, steps)
        if pace != self.pace:
            self.pace, self.phases = pace, phases(self.options, self.supernet.plan, pace)
            self._enter(0)

    # -- one step

    @property
    def phase(self) -> Phase:
        return self.phases[self.progress.phase]

    def step(self, train_batch: Batch, valid_batch: Batch | None = None) -> dict[str, Tensor]:
        net, phase = self.supernet, self.phase
        warmup = self.progress.epoch < phase.warmup
        self.optimizers.zero_grad()
        loss, sums = loss_and_sums(net, train_batch)
        cost = self._cost()
        weighted = net.strength * cost
        (loss + weighted + net.strength * l_thre(net.cells_in(phase.pruned))).backward()
        mean_loss = loss.detach().clone()
        self.average([*gradients_of(self.optimizers.names), mean_loss])
        torch.nn.utils.clip_grad_norm_(self.optimizers.module_weights, self.options.gradient_clip)
        self.optimizers.step(weights_only=warmup)
        if self.switches.threshold_bounds is not None and not warmup:
            self._clamp_thresholds(*self.switches.threshold_bounds)
        net.epoch_sums += torch.stack([mean_loss, weighted.detach(), torch.ones_like(cost)])
        return sums

    def _cost(self) -> Tensor:
        net, own = self.supernet, slice(self.phase.own.start, self.phase.own.stop)
        costs = operation_costs(net.cells_in(self.phase.own)) if self.options.mu else None
        return l_cost(
            net.operation_gates[own], net.operation_masks[own], costs, self.options.mu, self.switches.node_count
        )

    @torch.no_grad()
    def _clamp_thresholds(self, low: float, high: float) -> None:
        for cell in self.supernet.cells_in(self.phase.pruned):
            for name in ("t_operation", "t_filter", "t_input"):
                getattr(cell, name).clamp_(low, high)

    # -- epochs

    def on_epoch_start(self, epoch: int) -> bool:
        changed, self.changed = self.changed, False
        return changed

    def on_epoch_end(self, epoch: int, evaluate: Evaluate | None = None) -> dict[str, Any]:
        """Commit, end the phase, regrow, narrow, or take a snapshot, as the schedule has it.

        Raises:
            MethodError: `max_epochs` is used up before the final phase has begun.
        """
        state, phase = self.progress, self.phase
        state.epoch += 1
        state.removed_now = state.regrown_now = 0
        if state.epoch == phase.warmup:
            self._begin_searching()
        commits = self._commits(state.epoch - phase.warmup - 1)
        last = epoch + 1 >= self.epochs
        capped = last or (phase.cap is not None and state.epoch >= phase.cap)
        if phase.final:
            if commits:
                self._final_commit(epoch, evaluate)
            if capped:
                self._cut_to_targets(epoch, evaluate)
        else:
            met = state.settling or (commits and self._stage_commit())
            if capped or (met and (state.settling or not phase.regrows)):
                self._end_stage()
            state.settling = bool(met) and state.phase == phase.number
            if last:
                raise MethodError(
                    f"max_epochs = {self.epochs} ended the search in phase {phase.number + 1} of {len(self.phases)}, "
                    "before any snapshot; raise max_epochs, or end phases earlier with phase_epochs or stage_ratios"
                )
        values = self._values(phase)
        self.supernet.epoch_sums.zero_()
        return values

    def _commits(self, searched: int) -> bool:
        """Whether masks are committed after a phase's search epoch (from 0; negative during warm-up)."""
        if self.options.fixed_ratios:
            return searched + 1 >= self.options.fixed_ratio_epochs
        return searched > 0 and searched % self.options.commit_interval == 0

    def _values(self, phase: Phase) -> dict[str, Any]:
        net = self.supernet
        cells = net.cells_in(range(phase.own.stop))
        ratios = {f"mgas/ratio_{level}": values for level, values in remaining_ratios(cells).items()}
        return {
            "mgas/phase": phase.number + 1,
            "mgas/lambda": float(net.strength),
            "mgas/size": search_size(cells, self.switches.size),
            "mgas/removed": self.progress.removed_now,
            "mgas/regrown": self.progress.regrown_now,
            "mgas/cut": self.progress.cut,
            **ratios,
            **operation_histogram(net.executed(LAST_STAGE)),
        }

    @property
    def finished(self) -> bool:
        return self.progress.done

    # -- phases

    def _enter(self, number: int) -> None:
        """Start a phase: thresholds and lambda at zero, new optimisers; gates, masks and weights carry over."""
        net = self.supernet
        self.progress.phase, self.progress.epoch, self.progress.removed = number, 0, 0
        phase, self.changed = self.phase, True
        net.stage = phase.stage
        self.progress.lost = False
        if self.options.reset_thresholds:
            with torch.no_grad():
                for cell in net.executed(LAST_STAGE):
                    for name in THRESHOLDS:
                        getattr(cell, name).zero_()
        self._set_lambda(LambdaState(0.0, phase.rule.delta))
        self.progress.target = phase.ratio * search_size(net.executed(), self.switches.size)
        self.progress.unmet = sorted(set(self.options.targets), reverse=True) if phase.final else []
        self._renew_optimizers({})
        if phase.warmup == 0:
            self._begin_searching()

    def _begin_searching(self) -> None:
        """After a phase's warm-up: gates and thresholds are trained from here on, under the phase's first lambda."""
        self.changed = True
        self._set_lambda(LambdaState(self.phase.start, self.phase.rule.delta))

    def _set_lambda(self, state: LambdaState) -> None:
        self.progress.lambda_value, self.progress.lambda_delta = state.value, state.delta
        self.supernet.strength.fill_(state.value)

    def _control(self, removed: int) -> None:
        """Adapt lambda to a commit that removed so many operations."""
        cross_entropy, weighted, steps = self.supernet.epoch_sums.tolist()
        present = LambdaState(self.progress.lambda_value, self.progress.lambda_delta)
        steps = max(steps, 1.0)
        self._set_lambda(next_lambda(present, removed, cross_entropy / steps, weighted / steps, self.phase.rule))

    def _renew_optimizers(self, momentum: Mapping[str, Tensor]) -> None:
        """Optimisers over what is trainable now; with the released code's switch, over what it still holds."""
        still: set[str] = set()
        if self.progress.lost:
            still = {"weight", "kappa"}
        elif self.phase.final and not self.switches.rebuild_final:
            still = {"kappa"}
        self.optimizers = Optimizers(self.supernet, self.options, momentum, still, self.pace)

    def _stage_commit(self) -> bool:
        """Commit all granularities; returns whether the stage has met its target."""
        candidates = self._commit_units()
        number = len(candidates)
        if self.switches.stop == "target" and not self.options.fixed_ratios:
            number = fewest(candidates, self._stage_reached)
        self._remove(candidates[:number])
        self._control(number)
        if self.options.narrow_in_stages:
            stage = self.phase.own.stop
            self._narrow(range(stage), stage - 1)
        return bool(self.options.fixed_ratios) or self._stage_reached({})

    def _stage_reached(self, dropped: Dropped) -> bool:
        """Whether the stage's target is met; the last stage also stops at the largest target asked for."""
        net, last_stage = self.supernet, self.phase.number == len(self.phases) - 2
        if search_size(net.executed(), self.switches.size, dropped) < self.progress.target:
            return True
        if not last_stage or self.switches.stop == "overshoot":
            return False
        return self._size(dropped) <= max(self.options.targets)

    def _end_stage(self) -> None:
        """Regrow, narrow, and go on to the next phase."""
        phase, net = self.phase, self.supernet
        if phase.regrows:
            cells, momentum = net.executed(), self.optimizers.momentum()
            alphas = torch.stack([momentum[f"cells.{cell.index}.alpha"] for cell in cells])
            number = int(self.options.regrow_share * self.progress.removed)
            picks = regrow(cells, alphas, number, self.generator, self.switches.regrow_saturated)
            self.progress.regrown_now = len(picks)
        self._narrow()
        self._enter(phase.number + 1)

    def _commit_units(self) -> list[Candidate]:
        """Commit filters and weights; returns the operations to remove, in ascending gate."""
        cells = self.supernet.cells_in(self.phase.pruned)
        failing = [(cell.index, slot) for cell in cells for slot in cell.failing()]
        empty = [(cell.index, slot) for cell in cells for slot in cell.commit_units()]
        return spare_last(cells, by_gate(cells, {*failing, *empty}))

    def _remove(self, candidates: Sequence[Candidate]) -> None:
        dropped = grouped(candidates)
        for cell in self.supernet.cells_in(self.phase.pruned):
            cell.commit_operations(dropped.get(cell.index, ()))
        self.progress.removed += len(candidates)
        self.progress.removed_now += len(candidates)
        self.changed = True
        self._renew_optimizers(self.optimizers.momentum())

    def _channel_plan(self, dropped: Dropped | None = None) -> list[CellChannels]:
        phase, last = self.phase, self.supernet.plan.cells - 1
        return plan_narrowing(self.supernet, self.switches, phase.narrowed, {phase.pinned, last}, dropped)

    def _narrow(self, cells: range | None = None, pinned: int | None = None) -> None:
        """Narrow what the phase narrows at its end, or within it `cells`, of which `pinned` feeds the phase's head."""
        momentum, last = self.optimizers.momentum(), self.supernet.plan.cells - 1
        if cells is None or pinned is None:
            plan = self._channel_plan()
        else:
            plan = plan_narrowing(self.supernet, self.switches, cells, {pinned, last})
        narrow(self.supernet, plan, momentum)
        self.progress.lost = not self.switches.rebuild_final
        self.changed = True
        self._renew_optimizers(momentum)

    # -- the final phase

    def _final_commit(self, epoch: int, evaluate: Evaluate | None) -> None:
        """Commit down to the next target, narrow, and take a snapshot."""
        candidates = self._commit_units()
        if self.options.fixed_ratios:  # filters and weights keep their share, operations go until the target is met
            candidates = removable(self.supernet.executed())
        number = len(candidates)
        if self.switches.stop == "target" or self.options.fixed_ratios:
            number = fewest(candidates, self._target_reached)
        self._remove(candidates[:number])
        self._control(number)
        self._narrow()
        self._take_snapshot(epoch, evaluate, forced=False)

    def _cut_to_targets(self, epoch: int, evaluate: Evaluate | None) -> None:
        """At the epoch limit: remove operations in ascending gate for every target that is still unmet."""
        while not self.progress.done:
            candidates = removable(self.supernet.executed())
            number = fewest(candidates, self._target_reached)
            self._remove(candidates[:number])
            self.progress.cut += number
            self._narrow()
            before = len(self.progress.unmet)
            self._take_snapshot(epoch, evaluate, forced=True)
            self.progress.done |= len(self.progress.unmet) == before

    def _target_reached(self, dropped: Dropped) -> bool:
        return self._size(dropped) <= self.progress.unmet[0]

    def _size(self, dropped: Dropped) -> float:
        """What `target_on` counts after a narrowing, if some more operations were removed."""
        on, net = self.options.target_on, self.supernet
        if on == "size":
            return search_size(net.executed(LAST_STAGE), self.switches.size, dropped)
        architecture = export(net, self._channel_plan(dropped), dropped, with_masks=on == "params_nonzero")
        return counts(architecture, self.context)[on]

    def _take_snapshot(self, epoch: int, evaluate: Evaluate | None, forced: bool) -> None:
        state = self.progress
        accuracy = evaluate()["accuracy"] if evaluate is not None else None
        snapshot = take(self.supernet, self.context, self.switches.size, accuracy, epoch, forced, self.provenance())
        self.snapshots.append(snapshot)
        state.unmet = [target for target in state.unmet if snapshot.sizes[self.options.target_on] > target]
        state.done = not state.unmet

    # -- the answer

    def provenance(self) -> dict[str, Any]:
        options = self.options
        return {
            "method": self.name,
            "search_seed": self.context.seed,
            "compat": options.compat,
            "switches": dict(options.switches),
            "granularities": list(options.granularities),
            "fixed_ratios": dict(options.fixed_ratios),
            "stages": options.stages,
            "reevaluation": options.reevaluation,
            "autoaugment": options.autoaugment,
        }

    def architecture(self, target: float | None = None) -> Architecture:
        """The answer to one of the targets (default: the first); before any snapshot, the present network.

        Raises:
            MethodError: no snapshot is as small as the target.
        """
        options = self.options
        if not self.snapshots:
            return replace(export(self.supernet, whole(self.supernet)), provenance=self.provenance())
        wanted = options.targets[0] if target is None else target
        chosen = choose(self.snapshots, wanted, options.target_on, options.snapshot_tolerance)
        asked = {"target": wanted, "target_on": options.target_on, "achieved": chosen.sizes[options.target_on]}
        return replace(chosen.architecture, provenance={**chosen.architecture.provenance, **asked})

    def family(self) -> list[Architecture]:
        """One architecture for each target, in the order of `targets`: a sweep over sizes from one search."""
        return [self.architecture(target) for target in self.options.targets]

    # -- state

    def state_dict(self) -> dict[str, Any]:
        return {
            "tensors": dict(self.supernet.state_dict()),
            "momentum": self.optimizers.momentum(),
            "progress": asdict(self.progress),
            "generator": self.generator.get_state(),
            "snapshots": [snapshot.to_state() for snapshot in self.snapshots],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self.supernet.stage = self.phase.stage
        self.supernet.restore(state["tensors"])
        self.generator.set_state(state["generator"])
        self.snapshots = [Snapshot.from_state(entry) for entry in state["snapshots"]]
        self.changed = True
        self._renew_optimizers(state["momentum"])

    def enter_longest_step(self) -> None:
        """All cells with everything alive; a real search has removed much of the first ones by then."""
        self._enter(len(self.phases) - 2)

    def to(self, device: torch.device) -> None:
        self.supernet.to(device)
        self._renew_optimizers(self.optimizers.momentum())
