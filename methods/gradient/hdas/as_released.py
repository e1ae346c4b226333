"""What the released code of H-DAS (msight-tech/research-hdas, 230b175) does otherwise than its paper says, by a switch.

The architecture gradient of first order is taken on a copy of the supernet that is made at the start and never brought
up to date: it always sees the first weights and the first architecture parameters. That of second order has a slip of
precedence: the difference of the two gradients is halved and *multiplied* by epsilon.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.base import Average, Batch, alone
from methods.gradient.bilevel_search import BilevelSearch, OrderOptions, architecture_gradient
from methods.parts.bilevel import FirstOrder, MakeGradient, Unrolled, frozen_statistics
from methods.spaces.relaxation import Supernet


class StaleFirstOrder(FirstOrder):
    """First-order gradients at the weights and the architecture parameters of the start."""

    def __init__(self, supernet: nn.Module, *_: Any) -> None:
        self.copy = cast(Supernet, deepcopy(supernet))
        super().__init__(self.copy, self.copy.weights(), self.copy.architecture_parameters())

    def __call__(
        self, train_batch: Batch, valid_batch: Batch, average: Average = alone
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        with frozen_statistics(self.copy):
            return super().__call__(train_batch, valid_batch, average)


class SlippedUnrolled(Unrolled):
    """Second order, with the mixed product multiplied by epsilon where it should be divided."""

    def quotient(self, difference: Tensor, step: Tensor) -> Tensor:
        return difference / 2 * step


def released_gradient(options: OrderOptions) -> MakeGradient:
    """Of first or second order, as released."""
    return SlippedUnrolled if options.unrolled else StaleFirstOrder


class HDAS(BilevelSearch):
    """A bilevel search that repeats the slips of the release where its options say `as_released`."""

    options: Any

    def gradient(self) -> MakeGradient:
        """Of the architecture parameters, as asked."""
        return released_gradient(self.options) if self.options.as_released else architecture_gradient(self.options)

    @property
    def stale_copy(self) -> nn.Module | None:
        """The supernet of the start, where gradients are taken there."""
        gradient = self.architecture_gradient
        return gradient.copy if isinstance(gradient, StaleFirstOrder) else None

    def to(self, device: torch.device) -> None:
        super().to(device)
        if self.stale_copy is not None:
            self.stale_copy.to(device)

    def state_dict(self) -> dict[str, Any]:
        copy = self.stale_copy
        return super().state_dict() | ({} if copy is None else {"stale_copy": copy.state_dict()})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.stale_copy is not None:
            self.stale_copy.load_state_dict(state["stale_copy"])
