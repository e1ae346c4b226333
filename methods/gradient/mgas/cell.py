"""One cell of the supernet, with its own architecture parameters, thresholds and masks at three granularities."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.operations import (
    Affine,
    ConvolutionOperation,
    MaskableConv,
    Pointwise,
    Reduction,
    SharedInputs,
)
from methods.gradient.mgas.switches import Switches
from methods.gradient.mgas.topology import (
    ALL_SLOTS,
    CANDIDATES,
    CONVOLUTIONS,
    EDGES,
    FIRST_CONVOLUTION,
    NODES,
    SHAPE,
    Plan,
    Slot,
    is_input_edge,
    module_name,
)
from methods.gradient.mgas.units import NO_THRESHOLD, Filters, GateEntry, Weights
from methods.spaces.cell.network import INPUTS
from methods.spaces.operations import POOLS, SEPARABLE, SKIP

ALWAYS_ON = -2.0
"""Below every score by more than 1: a gate with this threshold is on, and the step has no derivative there."""


@dataclass
class StepUnits:
    """Filters and weights of a cell in one step, for the cost-aware part of L_cost; cut by `Filters` and `Weights`."""

    gates: Tensor
    gate_masks: Tensor
    weight_masks: Tensor


class SearchCell(nn.Module):
    """A cell in which any subset of the 98 candidates, their filters and their weights may survive.

    Attributes:
        alpha, t_operation: (14, 7). t_filter, t_weight: (14, 4), one scalar per convolution. t_input: (2,), for the
            filters of the two preprocessed inputs, and of the stride-2 skips from that input.
        operation_mask: (14, 7) bool, committed; `*_now` are the masks of the last training step.
    """

    operation_mask: Tensor
    operation_now: Tensor
    filter_now: Tensor
    weight_now: Tensor
    node_widths: Tensor

    def __init__(
        self,
        index: int,
        plan: Plan,
        inputs: tuple[int, int],
        halved_input: bool,
        switches: Switches,
        discretisation: Discretisation,
    ) -> None:
        super().__init__()
        self.index, self.plan, self.switches, self.discretisation = index, plan, switches, discretisation
        self.reduction = index in plan.reductions
        self.preprocess0: Pointwise | Reduction
        width = plan.width(index)
        self.preprocess0 = (Reduction if halved_input else Pointwise)(inputs[0], width)
        self.preprocess1 = Pointwise(inputs[1], width)
        self.operations = nn.ModuleDict()
        for slot in ALL_SLOTS:
            self.add_operation(slot, (width,) * 3)
        self.alpha = nn.Parameter(torch.zeros(SHAPE))
        self.t_operation = nn.Parameter(torch.zeros(SHAPE))
        self.t_filter = nn.Parameter(torch.zeros(SHAPE[0], len(CONVOLUTIONS)))
        self.t_weight = nn.Parameter(torch.zeros(SHAPE[0], len(CONVOLUTIONS)))
        self.t_input = nn.Parameter(torch.zeros(INPUTS))
        self.register_buffer("operation_mask", torch.ones(SHAPE, dtype=torch.bool))
        self.register_buffer("operation_now", torch.ones(SHAPE, dtype=torch.bool))
        for name in ("filter_now", "weight_now"):
            self.register_buffer(name, torch.empty(0, dtype=torch.bool))
        self.register_buffer("node_widths", torch.full((NODES,), width))
        self.keep_units = False
        self.units: StepUnits | None = None
        self.rebuild()

    # -- structure

    def stride(self, edge: int) -> int:
        return 2 if self.reduction and is_input_edge(edge) else 1

    def add_operation(self, slot: Slot, widths: tuple[int, int, int], generator: torch.Generator | None = None) -> None:
        """Give a candidate a fresh module, if it is of a kind that has parameters.

        Args:
            widths: channels in, in the middle, out.
        """
        edge, op = slot
        operation, (c_in, _, c_out) = CANDIDATES[op], widths
        module: nn.Module
        if operation in CONVOLUTIONS:
            inner = widths if operation in SEPARABLE else (c_in, c_out)
            module = ConvolutionOperation(operation, inner, self.stride(edge), generator)
        elif operation == SKIP and self.stride(edge) == 2:
            module = Reduction(c_in, c_out, generator)
        elif operation in POOLS and self.switches.pool_norm:
            module = nn.BatchNorm2d(c_out)
        else:
            return
        self.operations[module_name(slot)] = module

    def remove_operation(self, slot: Slot) -> None:
        if module_name(slot) in self.operations:
            del self.operations[module_name(slot)]

    def operation(self, slot: Slot) -> nn.Module | None:
        """The candidate's module; None if it has no parameters or is removed."""
        name = module_name(slot)
        return self.operations[name] if name in self.operations else None  # noqa: SIM401 (a ModuleDict has no get)

    def live(self) -> list[Slot]:
        """Committed operations in order of edge, then operation."""
        return [(int(e), int(o)) for e, o in self.operation_mask.nonzero().tolist()]

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Present channels of the six states."""
        return self.preprocess0.norm.channels, self.preprocess1.norm.channels, *self.node_widths.tolist()

    def rebuild(self) -> None:
        """Recompute what follows from modules and committed masks; call after any change of either."""
        self.slots = self.live()
        self._index()

    def _index(self) -> None:
        """The units of the living operations, on the parameters' device."""
        gates = [GateEntry(self.preprocess0.norm, 0), GateEntry(self.preprocess1.norm, 1)]
        convs: list[MaskableConv] = []
        owners: list[int] = []
        for edge, op in self.slots:
            module, flat = self.operation((edge, op)), edge * SHAPE[1] + op
            if isinstance(module, ConvolutionOperation):
                unit = edge * len(CONVOLUTIONS) + op - FIRST_CONVOLUTION
                *inner, last = module.norms
                gates += [GateEntry(norm, INPUTS + unit) for norm in inner]
                gates += [GateEntry(last, INPUTS + unit, flat)]
                convs += list(module.convs)
                owners += [unit] * len(module.convs)
            elif isinstance(module, Reduction):
                after = self.switches.reduction_gate == "after"
                gates.append(GateEntry(module.norm, EDGES[edge][0] if after else NO_THRESHOLD, flat))
        device = self.alpha.device
        self.filters = Filters(gates, self.plan.width(self.index), device)
        self.weights = Weights(convs, owners, device)
        if self.filter_now.shape != self.filters.mask.shape:
            self.filter_now = self.filters.mask.clone()
        if self.weight_now.shape != self.weights.mask.shape:
            self.weight_now = self.weights.mask.clone()

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> SearchCell:
        super()._apply(fn, recurse)
        self._index()
        return self

    # -- forward

    def forward(self, before_last: Tensor, last: Tensor, coefficients: Tensor) -> Tensor:
        """The cell's output: its four nodes, concatenated.

        Args:
            before_last, last: (batch, channels, height, width), outputs of the two previous cells.
            coefficients: (14, 7), gate times mask of each operation.
        """
        affines, first_gates = self._filters(coefficients)
        weights = self._weights()
        states = [
            self.preprocess0(F.relu(before_last), affines.pop(0)),
            self.preprocess1(F.relu(last), affines.pop(0)),
        ]
        factors = coefficients.flatten().unbind()
        shared = SharedInputs(states)
        totals: list[Tensor | None] = [None] * NODES
        for slot in self.slots:
            edge, op = slot
            source, node = EDGES[edge]
            while len(states) <= source:
                states.append(totals[len(states) - INPUTS])
            module, stride = self.operation(slot), self.stride(edge)
            if isinstance(module, ConvolutionOperation):
                used, taken = weights[: len(module.convs)], affines[: len(module.norms)]
                del weights[: len(used)], affines[: len(taken)]
                seen = shared.halved(source) if module.halved_input else shared.rectified(source)
                value = module(seen, used, taken)
            elif isinstance(module, Reduction):
                first = first_gates.pop(0) if first_gates else None
                value = module(shared.rectified(source), affines.pop(0), first)
            else:
                value = states[source] if CANDIDATES[op] == SKIP else shared.pooled(source, CANDIDATES[op], stride)
                value = (module(value) if module is not None else value) * factors[edge * SHAPE[1] + op]
            present = totals[node - INPUTS]
            totals[node - INPUTS] = value if present is None else present + value
        return torch.cat([total for total in totals if total is not None], dim=1)

    def _filters(self, coefficients: Tensor) -> tuple[list[Affine], list[Tensor]]:
        """Scale and shift of every normalisation, and the gates of those that are gated before it."""
        filters = self.filters
        gates = torch.sigmoid(filters.kappa())
        thresholds = torch.cat([self.t_input, self.t_filter.flatten(), self.t_input.new_full((1,), ALWAYS_ON)])
        masks = self.discretisation.unit_masks(
            "filter", gates, filters.mask, thresholds, filters.thresholds, filters.initial
        )
        if self.training:
            self.filter_now.copy_(masks.detach() > 0)
        gated = gates * masks
        factor = filters.operations.spread(torch.cat([coefficients.flatten(), coefficients.new_ones(1)]))
        factor = factor * (gated if filters.before_flat is None else torch.where(filters.before_flat, 1.0, gated))
        scale, shift = filters.scale() * factor, filters.shift() * factor
        if self.keep_units:
            self.units = StepUnits(gates, masks, gates)
        split = zip(gated.split(filters.channels), filters.before, strict=True)
        first = [gate for gate, before in split if before]
        return list(zip(scale.split(filters.channels), shift.split(filters.channels), strict=True)), first

    def _weights(self) -> list[Tensor]:
        """The weights of every maskable convolution in this step."""
        weights = self.weights
        if not weights.convs:
            return []
        flat = weights.flat()
        masks = self.discretisation.unit_masks(
            "weight", flat.abs(), weights.mask, self.t_weight.flatten(), weights.thresholds, weights.initial
        )
        if self.training:
            self.weight_now.copy_(masks.detach() > 0)
        if self.units is not None:
            self.units.weight_masks = masks
        return weights.shaped(flat * masks)

    # -- masks

    @torch.no_grad()
    def commit_units(self) -> set[Slot]:
        """Make the filter and weight masks of the last step permanent.

        Returns the operations that this would leave without a filter or weight, as candidates for removal. Their
        masks are not committed, nor those that would silence an input of the cell or the only operation of a node.
        """
        keep_empty = self.switches.empty_operation == "keep"
        filters = dict(zip(self.filters.norms, self.filter_now.split(self.filters.channels), strict=True))
        weights = dict(zip(self.weights.convs, self.weights.shaped(self.weight_now), strict=True))
        alive = torch.stack([mask.any() for mask in (*filters.values(), *weights.values())]).tolist()
        silent = {module for module, on in zip((*filters, *weights), alive, strict=True) if not on}
        gone: set[Slot] = set(self.failing()) if silent else set()
        empty: set[Slot] = set()
        spared: set[nn.Module] = silent & {self.preprocess0.norm, self.preprocess1.norm}
        for slot in self.slots if silent else []:
            module = self.operation(slot)
            if module is not None and any(part in silent for part in module.modules()):
                node = EDGES[slot[0]][1]
                others = [other for other in self.slots if other not in gone and EDGES[other[0]][1] == node]
                spared |= set(module.modules())
                if others != [slot]:
                    empty.add(slot)
                    gone.add(slot)
        if keep_empty:
            empty, spared = set(), set()
        for unit, mask in (*filters.items(), *weights.items()):
            if unit not in spared:
                unit.mask &= mask
        return empty

    @torch.no_grad()
    def commit_operations(self, removed: Collection[Slot]) -> None:
        """Remove operations for good, their modules with them."""
        for slot in removed:
            self.operation_mask[slot] = False
            self.remove_operation(slot)
        self.rebuild()

    def failing(self) -> list[Slot]:
        """Committed operations that were off in the last step."""
        return [(int(e), int(o)) for e, o in (self.operation_mask & ~self.operation_now).nonzero().tolist()]

    @torch.no_grad()
    def revive(self, slot: Slot, generator: torch.Generator) -> None:
        """Regrow a removed operation: fresh module at the present widths, all masks one; call `rebuild` after."""
        source, node = EDGES[slot[0]]
        widths = self.state_widths
        self.operation_mask[slot] = True
        self.add_operation(slot, (widths[source], widths[source], widths[node]), generator)
        module = self.operation(slot)
        if module is not None:
            module.to(self.alpha.device)
