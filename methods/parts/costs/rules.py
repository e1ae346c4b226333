"""How a cost enters the loss of architecture parameters.

    weighted sum    L = CE + w (E / r - 1)                  ProxylessNAS' linear form (released code)
    log ratio       L = CE * a (log E / log r)^b            its other form; FBNet (Wu et al., CVPR 2019, equation 4)
    multiplier      L = CE + m (E / t - 1),  m <- max(0, m + rate (D / t - 1))

E is the expected cost of the present gates, r a reference, t the largest cost allowed, D the cost of what would be
derived now. The multiplier is LightNAS' (Luo et al., DAC 2022, released code), which aims at t from both sides and
drops m to zero when the sign is wrong; here t is a bound, and m the dual variable of that inequality.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.domain import MethodError


class Rule(ABC):
    """How task loss and expected cost make one loss."""

    @abstractmethod
    def __call__(self, loss: Tensor, expected: Tensor) -> Tensor:
        """0-d, differentiable in both, which are 0-d on one device."""

    def learn(self, derived: Callable[[], Tensor]) -> None:  # noqa: B027
        """Once an architecture step, before it; `derived` gives the cost of what would be derived now."""

    @property
    def pressure(self) -> float:
        """What the relative cost is multiplied by now."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Restore `state_dict`'s answer."""


class Watching(Rule):
    """The cost has no part in the loss."""

    def __call__(self, loss: Tensor, expected: Tensor) -> Tensor:
        return loss


@dataclass
class WeightedSum(Rule):
    """Attributes:
    weight: w, of the cost's excess over `reference`.
    """

    weight: float
    reference: float

    def __call__(self, loss: Tensor, expected: Tensor) -> Tensor:
        return loss + self.weight * (expected / self.reference - 1)

    @property
    def pressure(self) -> float:
        return self.weight


@dataclass
class LogRatio(Rule):
    """Attributes:
    weight: b, the exponent.
    scale: a.

    Raises:
        MethodError: a reference whose logarithm is not above zero.
    """

    weight: float
    reference: float
    scale: float = 0.2

    def __post_init__(self) -> None:
        if self.reference <= 1:
            raise MethodError(
                f"a log ratio divides by the logarithm of its reference, {self.reference:g}, which is not above zero; "
                "take a smaller unit, a larger reference, or the weighted sum"
            )

    def __call__(self, loss: Tensor, expected: Tensor) -> Tensor:
        ratio = expected.clamp_min(1).log() / math.log(self.reference)
        return loss * self.scale * ratio.clamp_min(torch.finfo(ratio.dtype).eps) ** self.weight

    @property
    def pressure(self) -> float:
        return self.weight


@dataclass
class Multiplier(Rule):
    """Attributes:
    at_most: t.
    rate: by which the multiplier rises or falls in a step, for a derived cost of twice `at_most`.
    """

    at_most: float
    rate: float
    value: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __call__(self, loss: Tensor, expected: Tensor) -> Tensor:
        return loss + self.value.to(expected.device) * (expected / self.at_most - 1)

    def learn(self, derived: Callable[[], Tensor]) -> None:
        over = derived() / self.at_most - 1
        self.value = self.value.to(over.device)  # the same tensor from the first step on: a captured step writes to it
        self.value.add_(self.rate * over).clamp_(min=0)

    @property
    def pressure(self) -> float:
        return self.value.item()

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value.copy_(state["value"])
