"""A cost whose gradient has a share of the task's length, whatever its unit: EG-NAS' enhanced gradient.

Zhang et al. (IEEE TNNLS 2023, arXiv 2103.12529) search blocks by a gradient that knows their complexity. Reconstructed
from the abstract, for its formula was not read: with the gradients t of the task's loss and c of the expected cost by
all architecture parameters together,

    g = t + lambda c |t| / |c|
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.parts.costs.objective import MakeGates, Unpriced
from methods.parts.costs.protocol import Cost
from methods.parts.gates import Gates


def balanced(of_task: Sequence[Tensor], of_cost: Sequence[Tensor | None], weight: float) -> list[Tensor]:
    """The enhanced gradient, one tensor a parameter; that of the task where the cost has none. Device work only.

    Args:
        of_cost: None for a parameter that the cost does not depend on.
        weight: lambda.
    """
    if not weight:
        return list(of_task)
    known = [cost for cost in of_cost if cost is not None]
    task, cost = (torch.stack(torch._foreach_norm(list(each))).norm() for each in (of_task, known))
    factor = torch.where(cost > 0, weight * task / cost, torch.zeros_like(cost))
    return [t if c is None else t + factor * c for t, c in zip(of_task, of_cost, strict=True)]


@dataclass
class Balanced(Unpriced):
    """Attributes:
    weight: lambda.
    """

    cost: Cost
    weight: float

    def gradients(
        self,
        of_task: Sequence[Tensor],
        task_loss: Tensor,
        parameters: Sequence[Tensor],
        gates: MakeGates,
        weighed: MakeGates | None = None,
    ) -> Sequence[Tensor]:
        """See `balanced`; with several processes the task's gradients are those of the whole batch."""
        with torch.enable_grad(), torch.autocast(task_loss.device.type, enabled=False):
            expected = self.cost.expected((weighed or gates)())
            of_cost = torch.autograd.grad(expected, list(parameters), allow_unused=True)
        return balanced(of_task, of_cost, self.weight)

    def watched(self, gates: Mapping[str, Gates]) -> dict[str, float]:
        """The expected cost, that of what is derived now, and lambda."""
        with torch.no_grad():
            expected = self.cost.expected(gates).item()
        discrete = self.cost.discrete(self.relaxed.derive(gates))
        return {"cost/expected": expected, "cost/discrete": discrete, "cost/weight": self.weight}
