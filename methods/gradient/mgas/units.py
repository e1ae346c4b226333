"""Index of a cell's filters and maskable weights: every unit of the cell in one flat tensor, with its owners.

A cell decides all its filters by one comparison and all its weights by another. These tables say which stretch of the
flat tensors belongs to which normalisation or convolution, and which threshold it obeys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.gradient.mgas.layers import GatedNorm, MaskableConv
from methods.gradient.mgas.step import Segments

COST_UNIT = 1e-6
"""The cost of an operation is in millions of weights."""


@dataclass
class StepUnits:
    """Filters and weights of a cell in one step, for the cost-aware part of L_cost; cut by `Filters` and `Weights`."""

    gates: Tensor
    gate_masks: Tensor
    weight_masks: Tensor


class Filters:
    """All gated channels of a cell.

    Args:
        norms: the gated normalisations.
        owners: the threshold that each of them obeys.
        total: number of thresholds.
        initial: (total,) int64, channels that each threshold had in the beginning.

    Attributes:
        norms, channels: the normalisations in order, and their channels.
        mask: (N,) bool, committed.
        thresholds: owners of each channel.
        first: channels that the present normalisations had in the beginning, in all.
    """

    def __init__(
        self, norms: Sequence[GatedNorm], owners: Sequence[int], total: int, initial: Tensor, device: torch.device
    ) -> None:
        self.norms = list(norms)
        self.channels = [norm.channels for norm in norms]
        self.thresholds = Segments(self.channels, list(owners), total, device)
        self.first = int(initial.sum())
        self.initial = initial.to(device)
        masks = [norm.mask for norm in norms]
        self.mask = torch.cat(masks) if masks else torch.empty(0, dtype=torch.bool, device=device)

    def kappa(self) -> Tensor:
        return torch.cat([norm.kappa for norm in self.norms])

    def scale(self) -> Tensor:
        return torch.cat([norm.weight for norm in self.norms])

    def shift(self) -> Tensor:
        return torch.cat([norm.bias for norm in self.norms])


class Weights:
    """All maskable weights of a cell; `thresholds` are their `total` owners, `mask` (N,) bool is committed."""

    def __init__(self, convs: Sequence[MaskableConv], owners: Sequence[int], total: int, device: torch.device) -> None:
        self.convs = list(convs)
        self.shapes = [conv.weight.shape for conv in convs]
        self.sizes = [shape.numel() for shape in self.shapes]
        self.thresholds = Segments(self.sizes, list(owners), total, device)
        lengths, indices = (torch.tensor(values, dtype=torch.int64) for values in (self.sizes, list(owners)))
        self.initial = torch.zeros(total, dtype=torch.int64).index_add_(0, indices, lengths).to(device)
        flat = [conv.mask.flatten() for conv in convs]
        self.mask = torch.cat(flat) if flat else torch.empty(0, dtype=torch.bool, device=device)

    def flat(self) -> Tensor:
        return torch.cat([conv.weight.flatten() for conv in self.convs])

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Cut a flat tensor into the convolutions' shapes."""
        return [part.view(shape) for part, shape in zip(flat.split(self.sizes), self.shapes, strict=True)]


def filter_shares(units: StepUnits, filters: Filters) -> list[Tensor]:
    """Per normalisation of a cell: (channels,) `m log(1 + K q / sum(q))`."""
    result = []
    for gate, mask in zip(units.gates.split(filters.channels), units.gate_masks.split(filters.channels), strict=True):
        result.append(mask * torch.log1p(mask.sum() * gate / gate.sum()))
    return result
