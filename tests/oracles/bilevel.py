"""The bilevel update as a textbook writes it, and its exact second-order gradient (Liu et al., ICLR 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""(weights, architecture parameters) -> loss of one batch."""


def first_order_search(
    loss: Callable[[tuple[Tensor, Tensor]], Tensor],
    weights: Sequence[nn.Parameter],
    alphas: Sequence[nn.Parameter],
    batches: Sequence[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]],
    lr: float,
    arch_lr: float,
) -> list[float]:
    """Alternate Adam on alpha (validation batch) and clipped SGD on the weights (training batch); training losses."""
    sgd = torch.optim.SGD(weights, lr, momentum=0.9, weight_decay=3e-4, foreach=False)
    adam = torch.optim.Adam(alphas, arch_lr, betas=(0.5, 0.999), weight_decay=1e-3, foreach=False)
    losses = []
    for train, valid in batches:
        adam.zero_grad()
        loss(valid).backward()
        adam.step()
        sgd.zero_grad()
        value = loss(train)
        value.backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        sgd.step()
        losses.append(value.item())
    return losses


def exact_unrolled_gradient(
    train_loss: Loss,
    valid_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    momentum_buffers: Sequence[Tensor],
    lr: float,
    momentum: float = 0.9,
    decay: float = 3e-4,
) -> tuple[Tensor, ...]:
    """d/d alpha of `valid_loss(w - lr * (momentum * buffer + d train_loss / dw + decay * w), alpha)`, by autograd."""
    gradients = torch.autograd.grad(train_loss(weights, alphas), weights, create_graph=True)
    stepped = [
        w - lr * (momentum * b + g + decay * w) for w, b, g in zip(weights, momentum_buffers, gradients, strict=True)
    ]
    return torch.autograd.grad(valid_loss(stepped, alphas), alphas)


def cross_entropy(network: nn.Module, batch: tuple[Tensor, Tensor], *args: object) -> Tensor:
    images, labels = batch
    return F.cross_entropy(network(images, *args), labels)
