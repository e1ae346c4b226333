"""DLSR's supernet as its released code computes it: every candidate by itself, weighted and added; inputs scaled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.spaces.superres.supernet import DistillationSupernet


def mixed(operations: nn.ModuleList, x: Tensor, weights: Tensor) -> Tensor:
    total = torch.zeros_like(x)
    for weight, operation in zip(weights, operations, strict=True):
        total = total + weight * operation(x)
    return total


def block(module: nn.Module, x: Tensor, alpha: Tensor) -> Tensor:
    distilled = []
    for row in range(3):
        distilled.append(F.leaky_relu(module.distil[row](x), 0.05))
        refined = mixed(module.refine[row].operations, x, alpha[row])
        x = F.leaky_relu(refined + x, 0.05)
    distilled.append(F.leaky_relu(module.last(x), 0.05))
    return module.attention(module.fuse(torch.cat(distilled, dim=1)))


def enlarged(supernet: DistillationSupernet, images: Tensor, alpha: Tensor, betas: Sequence[Tensor]) -> Tensor:
    """Images of [0, 1], by probabilities: alpha (3, 9), a beta of 2, 3, 4 and 5 entries."""
    net = supernet.backbone
    features = net.head(images * 255)
    first = block(net.blocks[0], features, alpha)
    made = [first, block(net.blocks[1], first, alpha)]
    for number, beta in enumerate(betas):
        scaled = [beta[place] * made[place] for place in range(len(beta))]
        read = F.leaky_relu(net.joins[number](torch.cat(scaled, dim=1)), 0.05)
        made.append(block(net.blocks[number + 2], read, alpha))
    fused = F.leaky_relu(net.fuse(torch.cat(made, dim=1)), 0.05)
    return F.pixel_shuffle(net.upsample(net.smooth(fused) + features), 2) / 255
