"""What all cells that MGAS prunes share: architecture parameters, thresholds and masks at three granularities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn

from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import Slot, Structure
from methods.gradient.mgas.switches import Switches
from methods.gradient.mgas.units import Filters, StepUnits, Weights


class SearchCell(nn.Module, ABC):
    """A part of a network in which any subset of its candidates, of their filters and their weights may survive.

    With E edges of O candidates, C of which are convolutions (`methods.gradient.mgas.structure`):

    Attributes:
        index: of the cell among the supernet's.
        empty_allowed: nothing has to be left in it; otherwise every node keeps an operation.
        operations: modules of the candidates that have parameters.
        alpha, t_operation: (E, O). t_filter, t_weight: (E, C), one scalar per convolution.
        operation_mask: (E, O) bool, committed; `*_now` are the masks of the last training step.
        filters, weights: index of the units that live.
    """

    structure: Structure
    operation_mask: Tensor
    operation_now: Tensor
    filter_now: Tensor
    weight_now: Tensor
    filters: Filters
    weights: Weights

    def __init__(
        self,
        index: int,
        structure: Structure,
        switches: Switches,
        discretisation: Discretisation,
        empty_allowed: bool = False,
    ) -> None:
        super().__init__()
        self.index, self.structure, self.empty_allowed = index, structure, empty_allowed
        self.switches, self.discretisation = switches, discretisation
        edges, shape = len(structure.nodes), structure.shape
        self.operations = nn.ModuleDict()
        self.alpha = nn.Parameter(torch.zeros(shape))
        self.t_operation = nn.Parameter(torch.zeros(shape))
        self.t_filter = nn.Parameter(torch.zeros(edges, structure.convolutions))
        self.t_weight = nn.Parameter(torch.zeros(edges, structure.convolutions))
        self.register_buffer("operation_mask", torch.ones(shape, dtype=torch.bool))
        self.register_buffer("operation_now", torch.ones(shape, dtype=torch.bool))
        for name in ("filter_now", "weight_now"):
            self.register_buffer(name, torch.empty(0, dtype=torch.bool))
        self.keep_units = False
        self.units: StepUnits | None = None

    # -- what a space says of its cells

    @abstractmethod
    def module_name(self, slot: Slot) -> str:
        """Of a candidate among `operations`."""

    @abstractmethod
    def index_units(self) -> tuple[Filters, Weights]:
        """The units of the living operations, on the parameters' device."""

    @abstractmethod
    def add_present(self, slot: Slot, generator: torch.Generator) -> None:
        """Give a candidate that was removed a fresh module that fits what is there now, all its masks one."""

    @abstractmethod
    def operation_size(self, slot: Slot, measure: str) -> int:
        """Convolution weights under the committed masks; the measures are those of `switches.Switches.size`."""

    @abstractmethod
    def operation_costs(self) -> Tensor:
        """(E, O): see `methods.gradient.mgas.losses.operation_costs`."""

    def indispensable(self) -> Iterable[nn.Module]:
        """Normalisations that must not lose their last filter and are of no operation."""
        return ()

    # -- structure

    def node(self, slot: Slot) -> int:
        """The node that a candidate's edge enters."""
        return self.structure.nodes[slot[0]]

    def remove_operation(self, slot: Slot) -> None:
        if self.module_name(slot) in self.operations:
            del self.operations[self.module_name(slot)]

    def operation(self, slot: Slot) -> nn.Module | None:
        """The candidate's module; None if it has no parameters or is removed."""
        name = self.module_name(slot)
        return self.operations[name] if name in self.operations else None  # noqa: SIM401 (a ModuleDict has no get)

    def live(self) -> list[Slot]:
        """Committed operations in order of edge, then operation."""
        return [(int(e), int(o)) for e, o in self.operation_mask.nonzero().tolist()]

    def rebuild(self) -> None:
        """Recompute what follows from modules and committed masks; call after any change of either."""
        self.slots = self.live()
        self._index()

    def _index(self) -> None:
        self.filters, self.weights = self.index_units()
        if self.filter_now.shape != self.filters.mask.shape:
            self.filter_now = self.filters.mask.clone()
        if self.weight_now.shape != self.weights.mask.shape:
            self.weight_now = self.weights.mask.clone()

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._index()
        return self

    # -- units in a step

    def filter_masks(self, gates: Tensor, thresholds: Tensor) -> Tensor:
        """(N,) masks of all filters in this step, from their gates and the thresholds that own them."""
        filters = self.filters
        masks = self.discretisation.unit_masks(
            "filter", gates, filters.mask, thresholds, filters.thresholds, filters.initial
        )
        if self.training:
            self.filter_now.copy_(masks.detach() > 0)
        if self.keep_units:
            self.units = StepUnits(gates, masks, gates)
        return masks

    def step_weights(self) -> list[Tensor]:
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
        masks are not committed, nor those that would silence what is indispensable or the only operation of a node.
        """
        keep_empty = self.switches.empty_operation == "keep"
        filters = dict(zip(self.filters.norms, self.filter_now.split(self.filters.channels), strict=True))
        weights = dict(zip(self.weights.convs, self.weights.shaped(self.weight_now), strict=True))
        if not filters:  # nothing lives here
            return set()
        alive = torch.stack([mask.any() for mask in (*filters.values(), *weights.values())]).tolist()
        silent = {module for module, on in zip((*filters, *weights), alive, strict=True) if not on}
        gone: set[Slot] = set(self.failing()) if silent else set()
        empty: set[Slot] = set()
        spared: set[nn.Module] = silent & set(self.indispensable())
        for slot in self.slots if silent else []:
            module = self.operation(slot)
            if module is not None and any(part in silent for part in module.modules()):
                node = self.node(slot)
                others = [other for other in self.slots if other not in gone and self.node(other) == node]
                spared |= set(module.modules())
                if self.empty_allowed or others != [slot]:
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
        self.operation_mask[slot] = True
        self.add_present(slot, generator)
        module = self.operation(slot)
        if module is not None:
            module.to(self.alpha.device)
