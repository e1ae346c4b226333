"""Discretisation functions: which operations, filters and weights are on in a step.

A unit with score s is on when s > t: sigmoid(alpha) for an operation, sigmoid(kappa) for a filter, |w| for a weight.
With learned thresholds t is a parameter; with fixed ratios it is the quantile that keeps a preset share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from methods.gradient.mgas.step import Segments, long_tailed_step

LEVELS = ("operation", "filter", "weight")


@dataclass(frozen=True)
class Discretisation:
    """How thresholds come about, and at which granularities there are any.

    Attributes:
        levels: granularities that are searched; the units of another level are always on.
        ratios: share of units to keep per level with fixed ratios; empty for learned thresholds.
        guard: see `methods.gradient.mgas.switches`.
    """

    levels: tuple[str, ...] = LEVELS
    ratios: Mapping[str, float] = field(default_factory=dict)
    guard: str = "strongest"

    @property
    def learned(self) -> bool:
        return not self.ratios

    def unit_masks(
        self, level: str, scores: Tensor, committed: Tensor, thresholds: Tensor, segments: Segments, initial: Tensor
    ) -> Tensor:
        """Masks of the filters or weights of one cell, (N,) float, differentiable in scores and learned thresholds.

        Args:
            scores: (N,) sigmoid(kappa) or |w|.
            committed: (N,) bool, the units not yet removed.
            thresholds: (n,), one per owner.
            segments: owner of each unit.
            initial: (n,) int64, units of each owner of which the fixed ratio is a share.
        """
        if level not in self.levels:
            return committed.to(scores.dtype)
        if not self.learned:
            kept = (initial * self.ratios[level]).ceil().long()
            thresholds = segments.quantile(torch.where(committed, scores.detach(), -1.0), kept)
        return committed * long_tailed_step(scores - segments.spread(thresholds))

    def operation_masks(
        self, gates: Tensor, committed: Tensor, thresholds: Tensor, nodes: Tensor, needed: Tensor | None = None
    ) -> Tensor:
        """Masks of the operations, (K, E, O) float; every node keeps at least one operation.

        Args:
            gates: (K, E, O), sigmoid(alpha), 0 for removed operations.
            committed: (K, E, O) bool.
            thresholds: (K, E, O).
            nodes: (E, N), 1 where the edge enters the node.
            needed: (K,) bool, the cells that keep an operation in every node; None for all.
        """
        if not self.learned:
            number = max(1, math.ceil(self.ratios["operation"] * math.prod(gates.shape[1:])))
            best = torch.where(committed, gates.detach(), -1.0).flatten(1).topk(number, dim=1).values[:, -1]
            thresholds = torch.nextafter(best, torch.full_like(best, -torch.inf))[:, None, None]
        passed = committed * long_tailed_step(gates - thresholds)
        kept = guarded(gates.detach(), committed, passed.detach(), nodes, self.guard)
        if needed is not None:
            kept = kept & needed[:, None, None]
        return torch.where(kept, 1.0, passed)


def guarded(gates: Tensor, committed: Tensor, passed: Tensor, nodes: Tensor, guard: str) -> Tensor:
    """(K, E, O) bool: the operation that keeps its node alive, where no other operation of the node is on.

    The released code finds it by a running sum over the node's operations; this is its closed form. A guarded
    operation is on whatever its threshold, and no gradient reaches that threshold.
    """
    shape = gates.shape[1:]
    if guard == "last":
        scores = torch.arange(math.prod(shape), dtype=gates.dtype, device=gates.device).view(shape).expand_as(gates)
    else:
        scores = gates
    scores = torch.where(committed, scores, -1.0)
    by_node = torch.where(nodes.T[:, :, None] > 0, scores[:, None], -2.0)  # (K, N, E, O)
    keeper = by_node.flatten(2).argmax(dim=2)  # first of equals
    chosen = torch.zeros(*by_node.shape[:2], math.prod(shape), dtype=torch.bool, device=gates.device)
    chosen = chosen.scatter(2, keeper[:, :, None], True).view_as(by_node)
    others = (passed[:, None] > 0) & (nodes.T[:, :, None] > 0) & ~chosen
    alone = ~others.flatten(2).any(dim=2)  # (K, N)
    return (chosen & alone[:, :, None, None]).any(dim=1) & committed
