"""A search's objective: the task's loss and, where a row names one, a cost.

A method hands over the gradients of its task; what the cost adds to them, what it says of the derived architecture and
what is logged of it stands here, the same for every method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.choices import equal_gates
from methods.parts.costs.constraint import derive_within
from methods.parts.costs.preference import bound_of
from methods.parts.costs.protocol import Cost
from methods.parts.costs.rules import LogRatio, Multiplier, Rule, Watching, WeightedSum
from methods.parts.gates import Gates
from methods.spaces.relaxation import Relaxation

MakeGates = Callable[[], Mapping[str, Gates]]


@dataclass
class Unpriced:
    """The objective of a search that knows no cost: everything is as without it."""

    relaxed: Relaxation

    def gradients(
        self,
        of_task: Sequence[Tensor],
        task_loss: Tensor,
        parameters: Sequence[Tensor],
        gates: MakeGates,
        weighed: MakeGates | None = None,
    ) -> Sequence[Tensor]:
        """The gradients of the whole loss by the architecture parameters, from those of the task's. Device work only.

        Args:
            task_loss: the task's loss, 0-d.
            gates: makes those of the present parameters, with a gradient.
            weighed: likewise, those whose expected cost is in the loss, where a step is about part of the options;
                None for `gates`.
        """
        return of_task

    def derive(self, gates: Mapping[str, Gates]) -> tuple[Architecture, dict[str, Any]]:
        """The architecture that gates stand for, and what it remembers of its cost (JSON values)."""
        return self.relaxed.derive(gates), {}

    def watched(self, gates: Mapping[str, Gates]) -> dict[str, float]:
        """What is logged of an epoch."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`'s answer."""


@dataclass
class Objective(Unpriced):
    """A cost in the loss of architecture parameters, and the bound that the derived architecture keeps.

    Attributes:
        at_most: largest discrete cost (`methods.parts.costs.constraint`); None for no bound.
    """

    cost: Cost
    rule: Rule
    at_most: float | None = None

    def gradients(
        self,
        of_task: Sequence[Tensor],
        task_loss: Tensor,
        parameters: Sequence[Tensor],
        gates: MakeGates,
        weighed: MakeGates | None = None,
    ) -> Sequence[Tensor]:
        with torch.enable_grad(), torch.autocast(task_loss.device.type, enabled=False):
            soft = gates()
            with torch.no_grad():
                self.rule.learn(lambda: self.cost.expected(self.relaxed.hard(soft)))
            loss = task_loss.detach().float().requires_grad_()
            whole = self.rule(loss, self.cost.expected(soft if weighed is None else weighed()))
            by_loss, *by_cost = torch.autograd.grad(whole, [loss, *parameters], allow_unused=True)
        assert by_loss is not None
        pairs = zip(of_task, by_cost, strict=True)
        return [by_loss * task if cost is None else by_loss * task + cost for task, cost in pairs]

    def derive(self, gates: Mapping[str, Gates]) -> tuple[Architecture, dict[str, Any]]:
        bound = math.inf if self.at_most is None else self.at_most
        kept = derive_within(self.relaxed, gates, self.cost, bound)
        told = {"on": self.cost.name, "unit": self.cost.unit, "value": kept.cost, **self.cost.told}
        if self.at_most is not None:
            told |= {"at_most": self.at_most, "met": kept.met, "changes": kept.changes}
        return kept.architecture, {"cost": told}

    def watched(self, gates: Mapping[str, Gates]) -> dict[str, float]:
        """The expected cost, that of what is derived by the gates alone, and what the cost weighs."""
        with torch.no_grad():
            expected = self.cost.expected(gates).item()
        discrete = self.cost.discrete(self.relaxed.derive(gates))
        return {"cost/expected": expected, "cost/discrete": discrete, "cost/weight": self.rule.pressure}

    def state_dict(self) -> dict[str, Any]:
        return {"cost": self.rule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rule.load_state_dict(state["cost"])


RuleName = Literal["sum", "log_ratio", "multiplier", "none"]


@dataclass(frozen=True)
class CostTerm:
    """The cost that a search is asked to heed; a method binds it to what it relaxes.

    Attributes:
        make: the cost, for a relaxation.
        share: the bound as a share of the cost of the space's reference architecture, in place of `at_most`.
        rule: see `methods.parts.costs.rules`; "none" only watches it and keeps the bound.
        reference: None for `at_most` or, without it, the expected cost of equal gates.
        weight, scale, rate: of the rules.
    """

    make: Callable[[Relaxation], Cost]
    rule: RuleName = "sum"
    at_most: float | None = None
    share: float | None = None
    reference: float | None = None
    weight: float = 0.1
    scale: float = 0.2
    rate: float = 5e-4

    def objective(self, relaxed: Relaxation) -> Objective:
        """Raises MethodError for a cost without a gradient, or a rule that lacks something."""
        cost = self.make(relaxed)
        bound = bound_of(cost, relaxed.space, self.at_most, self.share)
        return Objective(relaxed, cost, self._rule(cost, relaxed, bound), bound)

    def _rule(self, cost: Cost, relaxed: Relaxation, bound: float | None) -> Rule:
        if self.rule == "none":
            return Watching()
        if self.rule == "multiplier":
            if bound is None:
                raise MethodError("the multiplier keeps a cost below a bound; say it with at_most")
            return Multiplier(bound, self.rate)
        reference = self.reference or bound or cost.expected(equal_gates(relaxed.topology)).item()
        if self.rule == "log_ratio":
            return LogRatio(self.weight, reference, self.scale)
        return WeightedSum(self.weight, reference)
