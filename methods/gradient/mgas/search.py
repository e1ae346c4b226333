"""MGAS, multi-granularity architecture search: operations, filters and weights pruned together to a target size.

Liu, Saxena, Cao, Zhao and Ruan, arXiv 2310.15074. One-level: one batch updates weights, gates and thresholds. The
search runs through phases (`methods.gradient.mgas.schedule`); at commits, units below their learned thresholds are
removed for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of
from methods.gradient.mgas.losses import l_cost, l_thre, operation_costs
from methods.gradient.mgas.monitor import operation_histogram, remaining_ratios
from methods.gradient.mgas.optimizers import pace_of
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.progress import Progress
from methods.gradient.mgas.pruning import fewest, removable
from methods.gradient.mgas.pruning_search import Pruning
from methods.gradient.mgas.schedule import Phase, phases
from methods.gradient.mgas.sizes import search_size
from methods.gradient.mgas.snapshots import Snapshot, choose, take
from methods.gradient.mgas.supernet import Supernet
from methods.parts.bilevel import loss_and_sums
from methods.registry import register

Evaluate = Callable[[], dict[str, float]]
"""Loss and accuracy of the present supernet on the validation part."""


@register(
    "mgas",
    special="prunes operations, filters and weights together by learned thresholds, stage by stage, to target sizes",
    paper="Liu, Saxena, Cao, Zhao and Ruan, arXiv 2310.15074",
    space="dense_cell, dense_chain_s, dense_chain_xs, dense_chain_imagenet",
    watched="methods.gradient.mgas.watched:WATCHED",
)
class MGAS(Pruning, GradientSearch):
    """Multi-granularity architecture search.

    Raises:
        MethodError: options that contradict each other.
    """

    Options = MGASOptions
    supernet: Supernet
    split = SearchSplit(train=0.9, valid=0.1, paired=False)

    def __init__(self, options: MGASOptions, context: SearchContext) -> None:
        self.epochs, self.batch_size = options.max_epochs, options.batch_size
        self.split = self.split_of(options)
        named = {"torchvision": "autoaugment-", "released": "autoaugment-pil-"}[options.autoaugment_policy]
        policy = named if options.autoaugment else ""
        self.augmentation = f"crop-flip-{policy}cutout"
        self.snapshots: list[Snapshot] = []
        super().__init__(options, context)

    @classmethod
    def split_of(cls, options: MGASOptions) -> SearchSplit:
        return SearchSplit(train=1.0 - options.valid_fraction, valid=options.valid_fraction, paired=False)

    def begin(self, steps: int) -> None:
        pace = pace_of(self.options, steps)
        if pace != self.pace:
            self.pace, self.phases = pace, phases(self.options, self.supernet.plan, pace)
            self._enter(0)

    # -- one step

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
        gates, masks = net.operation_gates[own], net.operation_masks[own]
        return l_cost(gates, masks, net.nodes, costs, self.options.mu, net.counted())

    @torch.no_grad()
    def _clamp_thresholds(self, low: float, high: float) -> None:
        for cell in self.supernet.cells_in(self.phase.pruned):
            for name in ("t_operation", "t_filter", *cell.structure.input_thresholds):
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
            **operation_histogram(net),
        }

    @property
    def finished(self) -> bool:
        return self.progress.done

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
        """At the epoch limit: remove operations, then filters, in ascending gate for every target still unmet."""
        while not self.progress.done:
            candidates = removable(self.supernet.executed())
            number = fewest(candidates, self._target_reached)
            self._remove(candidates[:number])
            self.progress.cut += number
            if number == len(candidates):
                self.progress.cut += self.space.cut_filters(self.supernet, lambda: self._target_reached({}))
            self._narrow()
            before = len(self.progress.unmet)
            self._take_snapshot(epoch, evaluate, forced=True)
            self.progress.done |= len(self.progress.unmet) == before

    def _take_snapshot(self, epoch: int, evaluate: Evaluate | None, forced: bool) -> None:
        state = self.progress
        accuracy = evaluate()["accuracy"] if evaluate is not None else None
        told = self.provenance()
        snapshot = take(self.space, self.supernet, self.context, self.switches.size, accuracy, epoch, forced, told)
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
            found = self.space.export(self.supernet, self.space.whole(self.supernet))
            return replace(found, provenance=self.provenance())
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
