"""DMaskingNAS' two updates written out (Wan et al., CVPR 2020, section 3; the loss of Wu et al., CVPR 2019, eq. 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Decisions = Sequence[tuple[str, Sequence[int]]]
Batch = tuple[Tensor, Tensor]


def gates(alpha: Tensor, noise: Tensor, temperature: float, decisions: Decisions) -> dict[str, Tensor]:
    """By name; options that a decision does not have take no part."""
    found = {}
    for row, (name, values) in enumerate(decisions):
        number = len(values)
        probabilities = torch.exp(alpha[row, :number]) / torch.exp(alpha[row, :number]).sum()
        found[name] = ((probabilities.log() + noise[row, :number]) / temperature).softmax(0)
    return found


def chain_xs_macs(drawn: Mapping[str, Tensor], decisions: Decisions, side: int) -> Tensor:
    """Of chain_xs with effective channels and an effective number of pixels, one image channel, ten classes."""
    values = dict(decisions)

    def mean(name: str) -> Tensor:
        return (drawn[name] * torch.tensor(values[name], dtype=torch.float32)).sum()

    def pixels(halvings: int) -> Tensor:
        total = torch.zeros(())
        for gate, resolution in zip(drawn["resolution"], values["resolution"], strict=True):
            each = side * resolution // 32
            for _ in range(halvings):
                each = (each + 1) // 2
            total = total + gate * each**2
        return total

    total = pixels(1) * (9 * 1 * 8 + 9 * 8 + 8 * 8)
    entering, halvings = torch.tensor(8.0), 1
    for stage, (blocks, stride) in enumerate(((1, 1), (2, 2), (2, 2), (1, 1))):
        width = mean(f"stages.{stage}.width")
        for block in range(blocks):
            inside, before = mean(f"stages.{stage}.{block}.inside"), halvings
            halvings += block == 0 and stride == 2
            total = total + pixels(before) * entering * inside + pixels(halvings) * (9 * inside + inside * width)
            entering = width
    return total + pixels(halvings) * entering * 128 + 128 * 10


class Textbook:
    """Args:
    network: elastic weights, as (images, gates by name) -> logits, and their parameters.
    alpha: (decisions, options); absent options are never read.
    """

    def __init__(self, network: Any, alpha: Tensor, decisions: Decisions, options: Any) -> None:
        self.network, self.decisions, self.options = network, decisions, options
        self.alpha = alpha.detach().clone().requires_grad_()
        o = options
        self.weights = list(network.parameters())
        self.sgd = torch.optim.SGD(self.weights, o.lr, momentum=o.momentum, weight_decay=o.weight_decay)
        self.adam = torch.optim.Adam([self.alpha], o.arch_lr, betas=o.arch_betas, weight_decay=o.arch_weight_decay)

    def weight_step(self, batch: Batch, noise: Tensor, temperature: float) -> None:
        self.sgd.zero_grad()
        drawn = gates(self.alpha.detach(), noise, temperature, self.decisions)
        F.cross_entropy(self.network(batch[0], drawn), batch[1]).backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.options.clip)
        self.sgd.step()

    def architecture_step(
        self,
        batch: tuple[Tensor, Tensor],
        noise: Tensor,
        temperature: float,
        scale: float,
        beta: float,
        reference: float,
    ) -> None:
        self.adam.zero_grad()
        drawn = gates(self.alpha, noise, temperature, self.decisions)
        running = {name: value.clone() for name, value in self.network.named_buffers()}
        task = F.cross_entropy(self.network(batch[0], drawn), batch[1])
        macs = chain_xs_macs(drawn, self.decisions, batch[0].shape[-1])
        (task * scale * (macs.log() / math.log(reference)) ** beta).backward()
        self.adam.step()
        for name, value in self.network.named_buffers():
            value.copy_(running[name])
