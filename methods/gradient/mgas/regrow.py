"""Progressive re-evaluation: removed operations get another chance where gates and gradients are large."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.structure import Slot


def importance(gates: Tensor, momentum: Tensor, committed: Tensor) -> Tensor:
    """(K, O): how much each cell and operation type is worth regrowing, a distribution (sums to 1).

    Per cell and type, the mean gate and the mean absolute momentum of alpha over the edges where the type lives; a type
    that lives nowhere in the cell gets half the cell's minimum (in an empty cell half the smallest of all). Types share
    a cell's importance by the mean of both (normalised over types); a cell's importance is the mean of both, summed
    over types, per living operation.

    Args:
        gates, momentum: (K, E, O), sigmoid(alpha) and alpha's SGD momentum buffer.
        committed: (K, E, O) bool.
    """
    on = committed.double()
    number = on.sum(dim=1)  # (K, O)
    alive = number > 0

    def mean_over_edges(values: Tensor) -> Tensor:
        mean = (values.double().abs() * on).sum(dim=1) / number.clamp(min=1)
        smallest = torch.where(alive, mean, torch.inf).amin(dim=1, keepdim=True)
        smallest = torch.where(smallest < torch.inf, smallest, smallest.amin())
        return torch.where(alive, mean, smallest / 2)

    growth, magnitude = mean_over_edges(momentum), mean_over_edges(gates)
    types = 0.5 * _normalised(growth, 1) + 0.5 * _normalised(magnitude, 1)
    per_cell = number.sum(dim=1).clamp(min=1)
    cells = 0.5 * _normalised(growth.sum(1) / per_cell, 0) + 0.5 * _normalised(magnitude.sum(1) / per_cell, 0)
    return _normalised(cells[:, None] * types, (0, 1))


def _normalised(values: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Divided by their sum; equal shares where all are zero (momentum before the first step)."""
    total = values.sum(dim=dim, keepdim=True)
    share = torch.ones_like(values) / torch.ones_like(values).sum(dim=dim, keepdim=True)
    return torch.where(total > 0, values / total.clamp(min=1e-300), share)


def draw(
    weights: Tensor, removed: Tensor, number: int, generator: torch.Generator, saturated: str = "redraw"
) -> list[tuple[int, Slot]]:
    """Which removed operations return: (cell, (edge, operation)) pairs, all different.

    A uniform number picks (cell, type) by the inverse of the cumulative importance; its place within the picked
    interval picks among the edges where the type is removed.

    Args:
        weights: (K, O), `importance`.
        removed: (K, E, O) bool, operations that may return.
        number: of draws.
        saturated: what happens to a draw whose (cell, type) has no removed edge left: "redraw" or "drop".
    """
    left = {
        (cell, op): [edge for edge in range(removed.shape[1]) if removed[cell, edge, op]]
        for cell in range(removed.shape[0])
        for op in range(removed.shape[2])
    }
    weights = weights.double().clone()
    picks: list[tuple[int, Slot]] = []
    for place in torch.rand(number, generator=generator, dtype=torch.float64).tolist():
        if saturated == "redraw":
            for (cell, op), edges in left.items():
                if not edges:
                    weights[cell, op] = 0.0
            if not weights.sum() > 0:
                break
        cumulative = (weights / weights.sum()).flatten().cumsum(0)
        index = min(int(torch.searchsorted(cumulative, place, right=True)), cumulative.numel() - 1)
        while weights.flatten()[index] == 0:  # rounding at the upper end
            index -= 1
        cell, op = divmod(index, weights.shape[1])
        edges = left[cell, op]
        if not edges:
            continue
        start = float(cumulative[index - 1]) if index else 0.0
        within = (place - start) / (float(cumulative[index]) - start)
        edge = edges.pop(min(int(within * len(edges)), len(edges) - 1))
        picks.append((cell, (edge, op)))
    return picks


def regrow(
    cells: Sequence[SearchCell], momentum: Tensor, number: int, generator: torch.Generator, saturated: str
) -> list[tuple[int, Slot]]:
    """Bring `number` removed operations of the cells back, each with a fresh module, all masks one and its old alpha.

    Args:
        momentum: (K, E, O), momentum of the cells' alpha.
        generator: CPU generator, for the draw and for the new weights.
    """
    committed = torch.stack([cell.operation_mask for cell in cells]).cpu()
    gates = torch.stack([cell.alpha.detach() for cell in cells]).sigmoid().cpu() * committed
    picks = draw(importance(gates, momentum.cpu(), committed), ~committed, number, generator, saturated)
    for index, slot in sorted(picks, key=lambda pick: (pick[0], pick[1])):
        cells[index].revive(slot, generator)
    for cell in cells:
        cell.rebuild()
    return picks
