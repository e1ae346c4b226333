"""The mixture executor of a slot whose candidates are inverted residuals: all are computed, weighted and summed.

Candidates that differ in kernel and expansion expand the same input: one 1x1 convolution for all of them. Those of one
kernel share a depthwise convolution, whatever their expansions. It is the mathematics of one module for each candidate
(`methods.parts.executors.choice` without a choice). Normalisations have no scale and shift, as those of the candidates
of cells have none (Liu et al., ICLR 2019, section 3.1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.executors.mixture import uniform
from methods.parts.gates import Gates


class MixedBlocks(nn.Module):
    """What is chosen in one slot; columns of the gates go by kernel, then by expansion, and any others add nothing.

    Args:
        c_in, c_out, stride: of the slot.
        kernels, expansions: of the candidates, every one with every other.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, kernels: Sequence[int], expansions: Sequence[int]) -> None:
        super().__init__()
        self.stride, self.c_out, self.candidates = stride, c_out, len(kernels) * len(expansions)
        self.inner = [expansion * c_in for expansion in expansions]
        width = sum(self.inner)
        self.expand = uniform(len(kernels) * width, c_in, 1, 1, fan_in=c_in)
        self.norm1 = nn.BatchNorm2d(len(kernels) * width, affine=False)
        self.depthwise = nn.ParameterList(uniform(width, 1, kernel, kernel, fan_in=kernel**2) for kernel in kernels)
        self.norm2 = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for _ in kernels)
        self.project = nn.ParameterList(
            uniform(c_out, inner, 1, 1, fan_in=inner) for _ in kernels for inner in self.inner
        )
        self.norm3 = nn.BatchNorm2d(self.candidates * c_out, affine=False)

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        expanded = F.relu6(self.norm1(F.conv2d(x, self.expand)), inplace=True)
        seen = [
            F.relu6(norm(_depthwise(part, weight, self.stride)), inplace=True)
            for part, weight, norm in zip(
                expanded.chunk(len(self.norm2), dim=1), self.depthwise, self.norm2, strict=True
            )
        ]
        inside = (part for each in seen for part in each.split(self.inner, dim=1))
        projected = [F.conv2d(part, weight) for part, weight in zip(inside, self.project, strict=True)]
        normalised = self.norm3(torch.cat(projected, dim=1))
        weights = (gates.options[row] * gates.weights[row])[: self.candidates].to(normalised.dtype)
        weighted = normalised * weights.repeat_interleave(self.c_out).view(1, -1, 1, 1)
        return reduce(torch.add, weighted.chunk(self.candidates, dim=1))


def _depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1])
