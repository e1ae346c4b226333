"""What the operations of a cell cost in a step, for the cost-aware part of L_cost."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.cells.operations import ConvolutionOperation, Reduction
from methods.gradient.mgas.cells.topology import ALL_SLOTS
from methods.gradient.mgas.units import COST_UNIT, filter_shares
from methods.spaces.cell.network import INPUTS


def cell_costs(cell: SearchCell, width: int) -> Tensor:
    """(14, 7): see `losses.operation_costs`; a stride-2 skip costs width^2, pools cost nothing."""
    units = cell.units
    assert units is not None, "costs need the masks of a forward pass with keep_units set"
    weights = cell.weights.shaped(units.weight_masks) if cell.weights.convs else []
    shares = filter_shares(units, cell.filters)[INPUTS:]
    costs = [cell.alpha.new_zeros(())] * len(ALL_SLOTS)
    for slot in cell.slots:
        module, index = cell.operation(slot), ALL_SLOTS.index(slot)
        if isinstance(module, ConvolutionOperation):
            masks, gates = weights[: len(module.convs)], shares[: len(module.norms)]
            del weights[: len(masks)], shares[: len(gates)]
            cost = masks[0].sum()
            for n, mask in enumerate(masks[1:], start=1):
                cost = cost + (mask.flatten(1).sum(dim=1) * gates[n // 3]).sum()
            costs[index] = COST_UNIT * cost
        elif isinstance(module, Reduction):
            shares.pop(0)
            costs[index] = cell.alpha.new_full((), COST_UNIT * width**2)
    return torch.stack(costs).view(cell.alpha.shape)
