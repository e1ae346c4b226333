"""The step function that discretises all three granularities, with the long-tailed derivative.

From Dynamic Sparse Training (Liu et al., ICLR 2020, section 3.2): the step itself is exact in the forward pass, and
the backward pass uses a piecewise linear bump whose tail reaches |u| = 1, so that units far from their threshold keep
a small gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _LongTailedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return gradient * step_derivative(u)


def long_tailed_step(u: Tensor) -> Tensor:
    """1 where u > 0, else 0; differentiable by `step_derivative`."""
    return _LongTailedStep.apply(u)


def step_derivative(u: Tensor) -> Tensor:
    """2 - 4 |u| up to |u| = .4, then .4 up to |u| = 1, then 0 (Dynamic Sparse Training, equation 5)."""
    size = u.abs()
    return torch.where(size <= 0.4, 2.0 - 4.0 * size, torch.where(size <= 1.0, 0.4, 0.0))


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, owner: Tensor, members: Tensor) -> Tensor:
        ctx.save_for_backward(members)
        return values.index_select(0, owner)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (members,) = ctx.saved_tensors
        padded = torch.cat([gradient, gradient.new_zeros(1)])
        return padded.index_select(0, members.flatten()).view(members.shape).sum(dim=1), None, None


class Segments:
    """Which of n owners each of N elements belongs to; elements of one owner stand together.

    `spread` gives every element its owner's value. Its backward pass sums each owner's elements in a fixed order by a
    padded gather: no atomics, so the same bits every time, and no loop over owners.

    Args:
        counts: number of elements of each owner, in order (the order of `owners` if that is given).
        owners: index of the owner of each run of elements; an owner may have several runs.
        total: number of owners.
    """

    def __init__(self, counts: list[int], owners: list[int], total: int, device: torch.device) -> None:
        runs, lengths = (torch.tensor(values, dtype=torch.int64) for values in (owners, counts))
        owner = torch.repeat_interleave(runs, lengths)
        size = torch.bincount(owner, minlength=total)
        longest = int(size.max()) if len(owner) else 0
        members = torch.full((total, longest), len(owner), dtype=torch.int64)
        order = torch.argsort(owner, stable=True)
        first = torch.cumsum(size, 0) - size
        position = torch.arange(len(owner)) - first[owner[order]]
        members[owner[order], position] = order
        self.owner = owner.to(torch.int32).to(device)
        self.members = members.to(torch.int32).to(device)

    def spread(self, values: Tensor) -> Tensor:
        """(n,) values of the owners -> (N,) values of their elements."""
        return _Spread.apply(values, self.owner, self.members)

    def quantile(self, elements: Tensor, kept: Tensor) -> Tensor:
        """(n,) thresholds: `kept[i]` of owner i's elements lie above the i-th (more where values are equal).

        Args:
            elements: (N,) values.
            kept: (n,) int64, at least 1 where the owner has elements.
        """
        padded = torch.cat([elements, elements.new_full((1,), -torch.inf)])
        rows = padded.index_select(0, self.members.flatten()).view(self.members.shape).sort(dim=1, descending=True)
        smallest = rows.values.gather(1, (kept - 1).clamp(0, self.members.shape[1] - 1)[:, None]).squeeze(1)
        below = torch.nextafter(smallest, torch.full_like(smallest, -torch.inf))
        return torch.where(torch.isfinite(below), below, torch.full_like(below, -1.0))
