"""How a search prunes its supernet: it enters phases, commits masks, removes, regrows and narrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from methods.base import SearchContext
from methods.gradient.mgas.controller import LambdaState, next_lambda
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.optimizers import Optimizers
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.progress import Progress
from methods.gradient.mgas.pruning import Candidate, Dropped, by_gate, fewest, grouped, spare_last
from methods.gradient.mgas.regrow import regrow
from methods.gradient.mgas.schedule import Phase, phases
from methods.gradient.mgas.sizes import search_size
from methods.gradient.mgas.space import Narrowing
from methods.gradient.mgas.spaces import prunable
from methods.gradient.mgas.structure import LAST_STAGE
from methods.gradient.mgas.supernet import Supernet


class Pruning:
    """A supernet on its way down through the phases of a search.

    Attributes:
        changed: the supernet has other parts than before: what was recorded of it is stale.
        pace: what lambda and the learning rates of gates and thresholds are multiplied by.
    """

    supernet: Supernet

    def __init__(self, options: MGASOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.switches = options.resolved_switches()
        self.space = prunable(options.space)
        plan = self.space.plan(options.channels, options.cells)
        discretisation = Discretisation(tuple(options.granularities), options.fixed_ratios, self.switches.guard)
        self.supernet = self.space.supernet(plan, context, self.switches, discretisation, options.stages > 1)
        for cell in self.supernet.executed(LAST_STAGE):
            cell.keep_units = options.mu > 0
        self.pace, self.phases = 1.0, phases(options, plan)
        self.generator = torch.Generator().manual_seed(context.seed)
        self.progress = Progress()
        self.changed = True
        self._enter(0)

    @property
    def phase(self) -> Phase:
        return self.phases[self.progress.phase]

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
                    for name in cell.structure.thresholds:
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

    def _channel_plan(self, dropped: Dropped | None = None) -> Narrowing:
        phase, last = self.phase, self.supernet.plan.cells - 1
        return self.space.plan_narrowing(self.supernet, self.switches, phase.narrowed, {phase.pinned, last}, dropped)

    def _narrow(self, cells: range | None = None, pinned: int | None = None) -> None:
        """Narrow what the phase narrows at its end, or within it `cells`, of which `pinned` feeds the phase's head."""
        momentum, last = self.optimizers.momentum(), self.supernet.plan.cells - 1
        if cells is None or pinned is None:
            plan = self._channel_plan()
        else:
            plan = self.space.plan_narrowing(self.supernet, self.switches, cells, {pinned, last})
        self.space.narrow(self.supernet, plan, momentum)
        self.progress.lost = not self.switches.rebuild_final
        self.changed = True
        self._renew_optimizers(momentum)

    # -- sizes

    def _target_reached(self, dropped: Dropped) -> bool:
        return self._size(dropped) <= self.progress.unmet[0]

    def _size(self, dropped: Dropped) -> float:
        """What `target_on` counts after a narrowing, if some more operations were removed."""
        on, net = self.options.target_on, self.supernet
        if on == "size":
            return search_size(net.executed(LAST_STAGE), self.switches.size, dropped)
        architecture = self.space.export(net, self._channel_plan(dropped), dropped, with_masks=on == "params_nonzero")
        return self.space.counts(architecture, self.context)[on]
