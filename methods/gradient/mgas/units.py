"""Index of a cell's filters and maskable weights: every unit of the cell in one flat tensor, with its owners.

A cell decides all its filters by one comparison and all its weights by another. These tables say which stretch of the
flat tensors belongs to which normalisation or convolution, and which threshold and operation it obeys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.gradient.mgas.operations import GatedNorm, MaskableConv
from methods.gradient.mgas.step import Segments
from methods.gradient.mgas.topology import ALL_SLOTS, CONVOLUTIONS, SHAPE
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


class Filters:
    """All gated channels of a cell.

    Attributes:
        norms, channels: the normalisations in order, and their channels.
        mask: (N,) bool, committed.
        thresholds, operations: owners of each channel.
        initial: channels each threshold had in the beginning.
        before: per normalisation, whether its gate stands before it; `before_flat` the same per channel, or None.
    """

    def __init__(self, entries: Sequence[GateEntry], width: int, device: torch.device) -> None:
        self.norms = [entry.norm for entry in entries]
        self.channels = [norm.channels for norm in self.norms]
        owners = [entry.threshold for entry in entries]
        self.thresholds = Segments(self.channels, owners, NO_THRESHOLD + 1, device)
        self.operations = Segments(self.channels, [entry.operation for entry in entries], NO_OPERATION + 1, device)
        self.initial = (torch.bincount(torch.tensor(owners), minlength=NO_THRESHOLD + 1) * width).to(device)
        self.mask = torch.cat([norm.mask for norm in self.norms])
        self.before = [owner == NO_THRESHOLD for owner in owners]
        self.before_flat = None
        if any(self.before):
            flat = torch.repeat_interleave(torch.tensor(self.before), torch.tensor(self.channels))
            self.before_flat = flat.to(device)

    def kappa(self) -> Tensor:
        return torch.cat([norm.kappa for norm in self.norms])

    def scale(self) -> Tensor:
        return torch.cat([norm.weight for norm in self.norms])

    def shift(self) -> Tensor:
        return torch.cat([norm.bias for norm in self.norms])


class Weights:
    """All maskable weights of a cell; `thresholds` are their owners, `mask` (N,) bool is committed."""

    def __init__(self, convs: Sequence[MaskableConv], owners: Sequence[int], device: torch.device) -> None:
        self.convs = list(convs)
        self.shapes = [conv.weight.shape for conv in convs]
        self.sizes = [shape.numel() for shape in self.shapes]
        self.thresholds = Segments(self.sizes, list(owners), SCALARS, device)
        lengths, indices = (torch.tensor(values, dtype=torch.int64) for values in (self.sizes, list(owners)))
        self.initial = torch.zeros(SCALARS, dtype=torch.int64).index_add_(0, indices, lengths).to(device)
        flat = [conv.mask.flatten() for conv in convs]
        self.mask = torch.cat(flat) if flat else torch.empty(0, dtype=torch.bool, device=device)

    def flat(self) -> Tensor:
        return torch.cat([conv.weight.flatten() for conv in self.convs])

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Cut a flat tensor into the convolutions' shapes."""
        return [part.view(shape) for part, shape in zip(flat.split(self.sizes), self.shapes, strict=True)]
