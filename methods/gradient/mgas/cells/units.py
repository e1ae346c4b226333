"""The filters of a cell of DARTS in one flat tensor: which threshold and which operation each of them obeys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from methods.gradient.mgas.cells.topology import ALL_SLOTS, CONVOLUTIONS, SHAPE
from methods.gradient.mgas.layers import GatedNorm
from methods.gradient.mgas.step import Segments
from methods.gradient.mgas.units import Filters
from methods.spaces.cell.network import INPUTS

SCALARS = SHAPE[0] * len(CONVOLUTIONS)
"""Thresholds t_filter (and t_weight) of a cell: one per edge and convolution."""

NO_THRESHOLD = INPUTS + SCALARS
"""Owner of gates without a threshold, after t_input and t_filter."""

NO_OPERATION = len(ALL_SLOTS)
"""Owner of gates that no operation's coefficient multiplies."""


@dataclass(frozen=True)
class GateEntry:
    """One gated normalisation: the index of its threshold and of the operation whose coefficient it carries."""

    norm: GatedNorm
    threshold: int
    operation: int = NO_OPERATION


class CellFilters(Filters):
    """All gated channels of a cell, each of which had `width` of them in the beginning.

    Attributes:
        operations: owners of each channel, as `thresholds`.
        before: per normalisation, whether its gate stands before it; `before_flat` the same per channel, or None.
    """

    def __init__(self, entries: Sequence[GateEntry], width: int, device: torch.device) -> None:
        owners = [entry.threshold for entry in entries]
        initial = torch.bincount(torch.tensor(owners), minlength=NO_THRESHOLD + 1) * width
        super().__init__([entry.norm for entry in entries], owners, NO_THRESHOLD + 1, initial, device)
        self.operations = Segments(self.channels, [entry.operation for entry in entries], NO_OPERATION + 1, device)
        self.before = [owner == NO_THRESHOLD for owner in owners]
        self.before_flat = None
        if any(self.before):
            flat = torch.repeat_interleave(torch.tensor(self.before), torch.tensor(self.channels))
            self.before_flat = flat.to(device)
