"""A place of a chain with all its candidates."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.chains.blocks import PrunedBlock
from methods.gradient.mgas.chains.topology import BLOCKS, STRUCTURE
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import Slot
from methods.gradient.mgas.switches import Switches
from methods.gradient.mgas.units import COST_UNIT, Filters, Weights, filter_shares
from methods.spaces.chain.macro import Place
from methods.spaces.chain.notation import CANDIDATES


class SearchPlace(SearchCell):
    """The sum of the blocks that are on, and of its input where the shape stays; it may be empty there.

    Its arrays are (1, 6): one edge, six blocks. The filters of a block are its inner channels.
    """

    def __init__(self, index: int, place: Place, switches: Switches, discretisation: Discretisation) -> None:
        super().__init__(index, STRUCTURE, switches, discretisation, empty_allowed=place.keeps_shape)
        self.place = place
        for slot in STRUCTURE.slots:
            self.add_block(slot)
        self.rebuild()

    def add_block(self, slot: Slot, generator: torch.Generator | None = None) -> None:
        self.operations[self.module_name(slot)] = PrunedBlock(
            CANDIDATES[slot[1]], self.place, self.inner_at_first(slot), generator
        )

    def module_name(self, slot: Slot) -> str:
        return BLOCKS[slot[1]]

    def inner_at_first(self, slot: Slot) -> int:
        """Channels inside of a block before anything goes."""
        return CANDIDATES[slot[1]].expansion * self.place.c_in

    def block(self, slot: Slot) -> PrunedBlock:
        """Of a living candidate."""
        return cast(PrunedBlock, self.operations[self.module_name(slot)])

    def add_present(self, slot: Slot, generator: torch.Generator) -> None:
        """As in the beginning: no other block depends on the channels inside."""
        self.add_block(slot, generator)

    def index_units(self) -> tuple[Filters, Weights]:
        blocks, owners = [self.block(slot) for slot in self.slots], [op for _, op in self.slots]
        initial = torch.zeros(len(BLOCKS), dtype=torch.int64)
        for slot in self.slots:
            initial[slot[1]] = self.inner_at_first(slot)
        device = self.alpha.device
        convs = [conv for block in blocks for conv in block.convs]
        of_convs = [owner for owner, block in zip(owners, blocks, strict=True) for _ in block.convs]
        filters = Filters([block.norm2 for block in blocks], owners, len(BLOCKS), initial, device)
        return filters, Weights(convs, of_convs, len(BLOCKS), device)

    def operation_size(self, slot: Slot, measure: str) -> int:
        block = self.block(slot)
        if measure == "nonzero":
            return sum(int(mask.sum()) for mask in block.effective_masks())
        each = self.place.c_in + CANDIDATES[slot[1]].kernel ** 2 + self.place.c_out
        return int(block.norm2.mask.sum()) * each

    def operation_costs(self) -> Tensor:
        """(1, 6): every inner channel costs the weights that lead into it, are its own, and lead out of it."""
        costs = [self.alpha.new_zeros(())] * len(BLOCKS)
        if self.slots:
            assert self.units is not None, "costs need the masks of a forward pass with keep_units set"
            masks = self.weights.shaped(self.units.weight_masks)
            for n, (slot, share) in enumerate(zip(self.slots, filter_shares(self.units, self.filters), strict=True)):
                expand, spatial, project = masks[3 * n : 3 * n + 3]
                each = expand.flatten(1).sum(dim=1) + spatial.flatten(1).sum(dim=1) + project.flatten(1).sum(dim=0)
                costs[slot[1]] = COST_UNIT * (share * each).sum()
        return torch.stack(costs)[None]

    def forward(self, x: Tensor, coefficients: Tensor) -> Tensor:
        """(batch, c_in, h, w) to (batch, c_out, h / stride, w / stride).

        Args:
            coefficients: (1, 6), gate times mask of each block.
        """
        if not self.slots:
            return x
        gates = torch.sigmoid(self.filters.kappa())
        gated = gates * self.filter_masks(gates, self.t_filter.flatten())
        weights, factors = self.step_weights(), coefficients.flatten().unbind()
        total: Tensor | None = x if self.place.keeps_shape else None
        for n, (slot, gate) in enumerate(zip(self.slots, gated.split(self.filters.channels), strict=True)):
            value = self.block(slot)(x, weights[3 * n : 3 * n + 3], gate, factors[slot[1]])
            total = value if total is None else total + value
        assert total is not None, "a place that changes the shape keeps a block"
        return total
