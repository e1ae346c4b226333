"""Bilevel updates: weights on the training batch, architecture parameters on the validation batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from methods.base import Average, Batch, alone
from methods.tasks import CLASSIFICATION, Task


def loss_and_sums(
    network: Callable[[Tensor], Tensor], batch: Batch, prefix: str = "", task: Task = CLASSIFICATION, **terms: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """A task's mean loss of a batch, and its sums with `prefix` before their names, as 0-d tensors.

    Args:
        terms: of the loss (`Task.loss_terms`).
    """
    inputs, targets = batch
    outputs = network(inputs)
    loss = task.loss(outputs, targets, **terms)
    sums = task.sums(outputs.detach(), targets, loss.detach())
    return loss, {f"{prefix}{name}": value for name, value in sums.items()}


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation uses batch statistics but leaves its running statistics alone.

    The architecture step runs under this, so that it changes nothing but architecture parameters.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def without_gradients(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Nothing is kept or computed for the gradients of these parameters."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def set_gradients(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Make `gradients` the parameters' `.grad`, in the parameters' strides: fused optimisers rely on that.

    None, of a parameter that took no part, stays None: optimisers leave it alone, decay and momentum included.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            parameter.grad = None
            continue
        same = gradient.stride() == parameter.stride() and gradient.dtype == parameter.dtype
        parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)


def start_momenta(optimiser: torch.optim.SGD) -> None:
    """Give every parameter a momentum of zero, which is how SGD begins.

    torch's fused update takes no parameters that get theirs one after the other, as those of single paths do.
    """
    for group in optimiser.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@dataclass
class FirstOrder:
    """Architecture gradient at the present weights (Liu et al., ICLR 2019, equation 7 with xi = 0)."""

    supernet: nn.Module
    weights: Sequence[nn.Parameter]
    architecture: Sequence[nn.Parameter]

    def __call__(
        self, train_batch: Batch, valid_batch: Batch, average: Average = alone
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Gradients of the validation loss, one for each architecture parameter, and the batch's sums.

        With several processes they are those of this process's share, for the caller to average.
        """
        with without_gradients(self.weights):
            loss, sums = loss_and_sums(self.supernet, valid_batch, "valid_")
            return list(torch.autograd.grad(loss, self.architecture)), sums


@dataclass
class Unrolled:
    """Architecture gradient through one virtual weight step (Liu et al., ICLR 2019, equations 7 and 8).

    The virtual step is the weight optimiser's: `w' = w - lr * (momentum * buffer + gradient + decay * w)`. The product
    of the mixed second derivative with `v`, the validation gradient at w', is a central difference of architecture
    gradients at `w +- v * epsilon / |v|`.

    Attributes:
        optimiser: torch's SGD over `weights`, one parameter group.
        epsilon: .01 in the paper.
    """

    supernet: nn.Module
    weights: Sequence[nn.Parameter]
    architecture: Sequence[nn.Parameter]
    optimiser: torch.optim.SGD
    epsilon: float = 0.01

    def __call__(
        self, train_batch: Batch, valid_batch: Batch, average: Average = alone
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """As `FirstOrder.__call__`; the weights are the same bits afterwards.

        Every process steps to the same w' and from there to the same w +- v * epsilon / |v|: the virtual gradient and v
        are averaged.
        """
        saved = [weight.detach().clone() for weight in self.weights]
        lr = self.optimiser.param_groups[0]["lr"]
        try:
            self._virtual_step(train_batch, lr, average)
            loss, sums = loss_and_sums(self.supernet, valid_batch, "valid_")
            gradients = torch.autograd.grad(loss, [*self.architecture, *self.weights])
            direct, vector = gradients[: len(self.architecture)], gradients[len(self.architecture) :]
            average(vector)
            implicit = self._mixed_product(saved, vector, train_batch)
        finally:
            self._set_weights(saved)
        return [d - lr * i for d, i in zip(direct, implicit, strict=True)], sums

    @torch.no_grad()
    def _virtual_step(self, train_batch: Batch, lr: Tensor | float, average: Average) -> None:
        group = self.optimiser.param_groups[0]
        with torch.enable_grad():
            loss, _ = loss_and_sums(self.supernet, train_batch)
            gradients = torch.autograd.grad(loss, list(self.weights))
        average(gradients)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            update = gradient + group["weight_decay"] * weight
            buffer = self.optimiser.state[weight].get("momentum_buffer") if weight in self.optimiser.state else None
            if buffer is not None:
                update = update + group["momentum"] * buffer
            weight.sub_(lr * update)

    def _mixed_product(self, at: list[Tensor], vector: Sequence[Tensor], train_batch: Batch) -> list[Tensor]:
        """The product of d2 L_train / d alpha d w at the weights `at` with `vector`."""
        step = self.epsilon / torch.stack(torch._foreach_norm(list(vector))).norm()
        sides = []
        for sign in (1, -1):
            self._set_weights([w + sign * step * v for w, v in zip(at, vector, strict=True)])
            with without_gradients(self.weights):
                loss, _ = loss_and_sums(self.supernet, train_batch)
                sides.append(torch.autograd.grad(loss, list(self.architecture)))
        return [self.quotient(plus - minus, step) for plus, minus in zip(*sides, strict=True)]

    def quotient(self, difference: Tensor, step: Tensor) -> Tensor:
        """The central difference of two gradients `2 * step` apart."""
        return difference / (2 * step)

    @torch.no_grad()
    def _set_weights(self, values: Sequence[Tensor]) -> None:
        for weight, value in zip(self.weights, values, strict=True):
            weight.copy_(value)


ArchitectureGradient = FirstOrder | Unrolled
MakeGradient = Callable[
    [nn.Module, Sequence[nn.Parameter], Sequence[nn.Parameter], torch.optim.SGD], ArchitectureGradient
]
"""(supernet, weights, architecture parameters, the weights' optimiser) -> the gradient of the architecture."""


def first_order(
    supernet: nn.Module,
    weights: Sequence[nn.Parameter],
    architecture: Sequence[nn.Parameter],
    optimiser: torch.optim.SGD,
) -> FirstOrder:
    """`FirstOrder`, which takes no step and needs no optimiser."""
    return FirstOrder(supernet, weights, architecture)
