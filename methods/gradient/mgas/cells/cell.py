"""One cell of the supernet, with its own architecture parameters, thresholds and masks at three granularities."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.cells.costs import cell_costs
from methods.gradient.mgas.cells.operations import ConvolutionOperation, Pointwise, Reduction, SharedInputs
from methods.gradient.mgas.cells.sizes import operation_size, published_skip_charge
from methods.gradient.mgas.cells.topology import (
    ALL_SLOTS,
    CANDIDATES,
    CONVOLUTIONS,
    EDGES,
    FIRST_CONVOLUTION,
    NODES,
    SHAPE,
    STRUCTURE,
    Plan,
    is_input_edge,
    module_name,
)
from methods.gradient.mgas.cells.units import NO_THRESHOLD, SCALARS, CellFilters, GateEntry
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.layers import Affine, GatedNorm, MaskableConv
from methods.gradient.mgas.structure import Slot
from methods.gradient.mgas.switches import Switches
from methods.gradient.mgas.units import Weights
from methods.spaces.cell.network import INPUTS
from methods.spaces.operations import POOLS, SEPARABLE, SKIP

ALWAYS_ON = -2.0
"""Below every score by more than 1: a gate with this threshold is on, and the step has no derivative there."""


class DenseCell(SearchCell):
    """A cell in which any subset of the 98 candidates, their filters and their weights may survive.

    Attributes:
        t_input: (2,), thresholds of the filters of the two preprocessed inputs, and of the stride-2 skips from that
            input.
    """

    node_widths: Tensor
    filters: CellFilters

    def __init__(
        self,
        index: int,
        plan: Plan,
        inputs: tuple[int, int],
        halved_input: bool,
        switches: Switches,
        discretisation: Discretisation,
    ) -> None:
        super().__init__(index, STRUCTURE, switches, discretisation)
        self.plan = plan
        self.reduction = index in plan.reductions
        self.preprocess0: Pointwise | Reduction
        width = plan.width(index)
        self.preprocess0 = (Reduction if halved_input else Pointwise)(inputs[0], width)
        self.preprocess1 = Pointwise(inputs[1], width)
        for slot in ALL_SLOTS:
            self.add_operation(slot, (width,) * 3)
        self.t_input = nn.Parameter(torch.zeros(INPUTS))
        self.register_buffer("node_widths", torch.full((NODES,), width))
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

    def module_name(self, slot: Slot) -> str:
        return module_name(slot)

    def add_present(self, slot: Slot, generator: torch.Generator) -> None:
        (source, node), widths = EDGES[slot[0]], self.state_widths
        self.add_operation(slot, (widths[source], widths[source], widths[node]), generator)

    def operation_size(self, slot: Slot, measure: str) -> int:
        charge = published_skip_charge(self.plan, self.index, slot) if measure == "published" else 0
        return operation_size(self.operation(slot), measure) + charge

    def operation_costs(self) -> Tensor:
        return cell_costs(self, self.preprocess0.norm.channels)

    def indispensable(self) -> Iterable[GatedNorm]:
        """Those of the two inputs."""
        return self.preprocess0.norm, self.preprocess1.norm

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Present channels of the six states."""
        return self.preprocess0.norm.channels, self.preprocess1.norm.channels, *self.node_widths.tolist()

    def index_units(self) -> tuple[CellFilters, Weights]:
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
        filters = CellFilters(gates, self.plan.width(self.index), device)
        return filters, Weights(convs, owners, SCALARS, device)

    # -- forward

    def forward(self, before_last: Tensor, last: Tensor, coefficients: Tensor) -> Tensor:
        """The cell's output: its four nodes, concatenated.

        Args:
            before_last, last: (batch, channels, height, width), outputs of the two previous cells.
            coefficients: (14, 7), gate times mask of each operation.
        """
        affines, first_gates = self._filters(coefficients)
        weights = self.step_weights()
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
        masks = self.filter_masks(gates, thresholds)
        gated = gates * masks
        factor = filters.operations.spread(torch.cat([coefficients.flatten(), coefficients.new_ones(1)]))
        factor = factor * (gated if filters.before_flat is None else torch.where(filters.before_flat, 1.0, gated))
        scale, shift = filters.scale() * factor, filters.shift() * factor
        split = zip(gated.split(filters.channels), filters.before, strict=True)
        first = [gate for gate, before in split if before]
        return list(zip(scale.split(filters.channels), shift.split(filters.channels), strict=True)), first
