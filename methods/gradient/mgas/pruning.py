"""Which operations a commit removes: those below their thresholds, weakest first, down to a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.structure import Slot

Candidate = tuple[int, Slot]
"""Cell and operation."""

Dropped = dict[int, set[Slot]]
"""Operations by cell."""


def by_gate(cells: Sequence[SearchCell], slots: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in ascending sigmoid(alpha); equals in order of cell, edge, operation."""
    alpha = {cell.index: cell.alpha.detach().cpu() for cell in cells}
    return sorted(slots, key=lambda candidate: (float(alpha[candidate[0]][candidate[1]]), candidate))


def removable(cells: Sequence[SearchCell]) -> list[Candidate]:
    """Every operation but the strongest of each node (where a node may be empty, that as well), in ascending gate."""
    result: list[Candidate] = []
    for cell in cells:
        alpha = torch.where(cell.operation_mask, cell.alpha.detach(), -torch.inf).cpu()
        keep: dict[int, Slot] = {}
        for slot in () if cell.empty_allowed else cell.slots:
            node = cell.node(slot)
            if node not in keep or alpha[slot] > alpha[keep[node]]:
                keep[node] = slot
        result += [(cell.index, slot) for slot in cell.slots if slot not in keep.values()]
    return by_gate(cells, result)


def spare_last(cells: Sequence[SearchCell], slots: Iterable[Candidate]) -> list[Candidate]:
    """The candidates without those whose removal would leave a node with no operation: its last one stays.

    Of a cell that may be empty, all are candidates.
    """
    by_index = {cell.index: cell for cell in cells}
    left = Counter((cell.index, cell.node(slot)) for cell in cells for slot in cell.slots)
    result = []
    for index, slot in slots:
        cell = by_index[index]
        node = (index, cell.node(slot))
        if cell.empty_allowed or left[node] > 1:
            left[node] -= 1
            result.append((index, slot))
    return result


def grouped(candidates: Iterable[Candidate]) -> Dropped:
    """Candidates by cell."""
    result: Dropped = {}
    for index, slot in candidates:
        result.setdefault(index, set()).add(slot)
    return result


def fewest(candidates: Sequence[Candidate], reached: Callable[[Dropped], bool]) -> int:
    """How many of the candidates, taken in order, have to go until `reached`; all if that is never."""
    return fewest_of(len(candidates), lambda number: reached(grouped(candidates[:number])))


def fewest_of(most: int, reached: Callable[[int], bool]) -> int:
    """The smallest number with which `reached` holds; `most` if that is none.

    Looks by bisection, which is exact where every removal makes the network smaller.
    """
    low, high = 0, most
    if reached(0):
        return 0
    if not reached(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
