"""A textbook step of a slimmable network: each network built by itself, its gradients put back where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.spaces import build
from methods.spaces.elastic import ElasticNetwork


def network_of(elastic: ElasticNetwork, options: Mapping[str, int]) -> nn.Module:
    """The physically small one, with the leading part of every tensor."""
    network = build(elastic.architecture(options), elastic.num_classes, elastic.settings)
    large = elastic.network.state_dict()
    network.load_state_dict(
        {name: large[name][tuple(slice(0, n) for n in value.shape)] for name, value in network.state_dict().items()}
    )
    return network.train()


def gradients(
    elastic: ElasticNetwork, networks: Sequence[Mapping[str, int]], images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Of cross entropy of the first network plus, for each other, sum_c p_c log(p_c / q_c) with p of the first."""
    total = {name: torch.zeros_like(value) for name, value in elastic.network.named_parameters()}
    targets = None
    for options in networks:
        network = network_of(elastic, options)
        logits = network(images)
        if targets is None:
            targets = logits.detach().softmax(1)
            loss = F.cross_entropy(logits, labels)
        else:
            loss = (targets * (targets.log() - logits.softmax(1).log())).sum(1).mean()
        loss.backward()
        for name, parameter in network.named_parameters():
            total[name][tuple(slice(0, n) for n in parameter.shape)] += parameter.grad
    return total


class Momentum:
    """SGD with Nesterov's momentum, written down: v = m v + g; w = w - lr (g + m v), decay added to g."""

    def __init__(self, momentum: float, weight_decay: float) -> None:
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocity: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, network: nn.Module, gradients: Mapping[str, Tensor], lr: float) -> None:
        for name, weight in network.named_parameters():
            decays = weight.ndim == 2 or (weight.ndim == 4 and weight.shape[1] > 1)
            gradient = gradients[name] + (self.weight_decay * weight if decays else 0.0)
            before = self.velocity.get(name, torch.zeros_like(weight))
            self.velocity[name] = self.momentum * before + gradient
            weight -= lr * (gradient + self.momentum * self.velocity[name])
