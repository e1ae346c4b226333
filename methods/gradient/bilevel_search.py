"""The bilevel search that DARTS and its kin share: architecture steps and weight steps in turn, on all candidates.

A method names its parts (`Parts`); all else is every alternating search's (`methods.gradient.alternating`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from methods.base import Batch, MethodError, SearchContext
from methods.domain import within
from methods.gradient.alternating import AlternatingOptions, AlternatingSearch, Composition, InSpace
from methods.parts.bilevel import MakeGradient, Unrolled, first_order, frozen_statistics, loss_and_sums
from methods.parts.executors.recompute import Memory
from methods.spaces.relaxation import MakeExecutor, Relaxation


@dataclass(frozen=True)
class OrderOptions(AlternatingOptions):
    """Attributes:
    unrolled: second order: the architecture gradient through one virtual weight step, which has plain momentum, as the
        released code has it.
    """

    unrolled: bool = False


@dataclass(frozen=True)
class BilevelOptions(OrderOptions):
    """Attributes:
    partial_channels: 1/K of a state's channels enter the candidates; 1 for all of them.
    edge_normalisation: softmax-weighted edges beside softmax-weighted operations.
    memory: "full" keeps activations for the backward pass, "low" computes them again; the results are the same.
    """

    partial_channels: int = field(default=1, metadata=within("[1, 10000]"))
    edge_normalisation: bool = False
    memory: Memory = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels % self.partial_channels:
            raise MethodError(f"channels={self.channels} cannot be divided by partial_channels={self.partial_channels}")


@dataclass(frozen=True)
class SpaceOptions(BilevelOptions, InSpace):
    """Of a bilevel search in any space that has a relaxation."""


@dataclass(frozen=True)
class Parts(Composition):
    """What sets a bilevel search apart.

    Attributes:
        gradient: of the architecture parameters.
    """

    gradient: MakeGradient


def mixed(relaxed: Relaxation, options: BilevelOptions) -> MakeExecutor:
    """The executor that computes all candidates, on a share of the channels and again in the backward pass as asked."""
    return relaxed.recomputed(relaxed.partial_channels(relaxed.mixture, options.partial_channels), options.memory)


def architecture_gradient(options: OrderOptions) -> MakeGradient:
    """Of first or second order, as asked."""
    return Unrolled if options.unrolled else first_order


class BilevelSearch(AlternatingSearch):
    """Trains a relaxation by turns; a subclass says with which parts."""

    options: BilevelOptions

    @abstractmethod
    def parts(self, relaxed: Relaxation) -> Parts: ...

    def __init__(self, options: BilevelOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        assert isinstance(self.composition, Parts)
        make = self.composition.gradient
        self.architecture_gradient = make(self.supernet, self.weights, self.alphas, self.weight_optimiser)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """An architecture step on the validation batch, then a weight step on the training batch.

        While the architecture is frozen there are no `valid_` values.
        """
        if valid_batch is None:
            raise MethodError(f"{self.name} needs a validation batch in every step (a paired split)")
        sums: dict[str, Tensor] = {}
        if self.epoch >= self.options.arch_start_epoch:
            sums |= self._architecture_step(train_batch, valid_batch)
        return sums | self._weight_step(train_batch)

    def _architecture_step(self, train_batch: Batch, valid_batch: Batch) -> dict[str, Tensor]:
        with frozen_statistics(self.supernet):
            gradients, sums = self.architecture_gradient(train_batch, valid_batch, self.average)
        self.update_architecture(self.whole(gradients, sums, "valid_"))
        return sums

    def _weight_step(self, train_batch: Batch) -> dict[str, Tensor]:
        loss, sums = loss_and_sums(self.supernet, train_batch)
        self.update_weights(torch.autograd.grad(loss, self.weights))
        return sums
