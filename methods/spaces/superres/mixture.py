"""All candidates of a refinement at once, weighted.

What is linear in the candidates is summed before it is applied: the four plain convolutions are one of 7x7, whose
kernel is the weighted sum of theirs, and the last 1x1 convolutions of the others are one over all that they read.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.spaces.superres.layout import OPERATIONS, kernel_of
from methods.spaces.superres.network import operation

PLAIN = tuple(row for row, name in enumerate(OPERATIONS) if kernel_of(name)[0] == "conv")
OTHERS = tuple(row for row in range(len(OPERATIONS)) if row not in PLAIN)
LARGEST = max(kernel_of(OPERATIONS[row])[1] for row in PLAIN)


class Mixture(nn.Module):
    """sum over o of weights[o] * o(x), exactly; (batch, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operation(name, channels) for name in OPERATIONS)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """
        Args:
            weights: (operations,).
        """
        mixed = F.conv2d(x, self._kernel(weights), padding=LARGEST // 2)
        rectified, read, last = F.relu(x), [], []
        for row in OTHERS:
            layers = list(cast(nn.Sequential, self.operations[row]))
            inner = rectified
            for layer in layers[1:-1]:
                inner = layer(inner)
            read.append(inner)
            last.append(weights[row] * cast(Tensor, layers[-1].weight))
        return mixed + F.conv2d(torch.cat(read, 1), torch.cat(last, 1))

    def _kernel(self, weights: Tensor) -> Tensor:
        """Of all plain convolutions together, the smaller ones with zeros around them."""
        kernels = []
        for row in PLAIN:
            kernel = cast(Tensor, self.operations[row].weight)
            kernels.append(weights[row] * F.pad(kernel, [(LARGEST - kernel.shape[-1]) // 2] * 4))
        return torch.stack(kernels).sum(0)
