"""The mixture executor: every candidate of every edge is computed, weighted by its gate and summed.

Edges are executed together by their *source state*: one ReLU for all, pools and their normalisation once (they have
no parameters), depthwise convolutions of all edges in one call, 1x1 convolutions as batched matrix products. This is
the same mathematics as one module per edge and candidate; `tests/oracles` holds that form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.parameterisation import Gates
from methods.spaces.cell_supernet import StateExecutor
from methods.spaces.operations import AVG_POOL, DILATED, KERNEL, MAX_POOL, OPERATIONS, SEPARABLE, SKIP, pool

COLUMN = {operation: column for column, operation in enumerate(OPERATIONS)}


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """The default initialisation of torch's convolutions, for weights kept in a batched shape."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, 1x1 convolution and batch normalisation of several edges at once.

    Maps (batch, edges, channels, h, w), already rectified, to (batch, edges, channels, h / stride, w / stride).
    """

    def __init__(self, edges: int, channels: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.stride, self.dilation, self.padding = stride, dilation, dilation * (kernel // 2)
        self.depthwise = _uniform(edges * channels, 1, kernel, kernel, fan_in=kernel**2)
        self.pointwise = _uniform(edges, channels, channels, fan_in=channels)
        self.norm = nn.BatchNorm2d(edges * channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, edges, channels = x.shape[:3]
        y = F.conv2d(
            x.flatten(1, 2), self.depthwise, None, self.stride, self.padding, self.dilation, groups=edges * channels
        )
        height, width = y.shape[2:]
        y = self.pointwise @ y.view(batch, edges, channels, height * width)
        return self.norm(y.view(batch, edges * channels, height, width)).view(batch, edges, channels, height, width)


class Reduce(nn.Module):
    """The stride-2 skip connection (`FactorizedReduce`) of several edges at once, on a rectified state."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.even = _uniform(edges, channels // 2, channels, fan_in=channels)
        self.odd = _uniform(edges, channels - channels // 2, channels, fan_in=channels)
        self.norm = nn.BatchNorm2d(edges * channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        even, odd = x[:, None, :, ::2, ::2], x[:, None, :, 1::2, 1::2]
        height, width = odd.shape[-2:]
        y = torch.cat([self.even @ even.flatten(3), self.odd @ odd.flatten(3)], dim=2)
        return self.norm(y.view(len(x), -1, height, width)).view(len(x), -1, self.channels, height, width)


class Mixture(StateExecutor):
    """All edges leaving one state of a cell.

    Args:
        channels: channels of a state.
        edges: number of edges leaving the state, one to each later node.
        stride: 2 for the inputs of a reduction cell, else 1.
    """

    def __init__(self, channels: int, edges: int, stride: int) -> None:
        super().__init__()
        self.stride, self.edges = stride, edges
        self.separable_1 = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KERNEL[name], stride, 1) for name in SEPARABLE}
        )
        self.separable_2 = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KERNEL[name], 1, 1) for name in SEPARABLE}
        )
        self.dilated = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KERNEL[name], stride, 2) for name in DILATED}
        )
        self.pools = nn.ModuleDict(
            {
                name: nn.Sequential(pool(name, stride), nn.BatchNorm2d(channels, affine=False))
                for name in (MAX_POOL, AVG_POOL)
            }
        )
        self.reduce = Reduce(edges, channels) if stride == 2 else None

    def forward(self, state: Tensor, gates: Gates, arrived: Tensor | None = None) -> Tensor:
        """Send a state along its edges.

        Args:
            state: (batch, channels, h, w).
            gates: of these edges, in the order of their nodes.
            arrived: (batch, edges, channels, h / stride, w / stride), what earlier states sent to the same nodes.

        Returns:
            `arrived` plus what this state sends.
        """
        weights = (gates.operations * gates.edges[:, None]).to(state.dtype)
        rectified = state.relu()
        repeated = rectified.unsqueeze(1).expand(-1, self.edges, -1, -1, -1)
        values = {name: module(repeated) for name, module in self.dilated.items()}
        for name, first in self.separable_1.items():
            values[name] = self.separable_2[name](first(repeated).relu())
        values |= {name: module(state).unsqueeze(1) for name, module in self.pools.items()}
        values[SKIP] = state.unsqueeze(1) if self.reduce is None else self.reduce(rectified)
        for name, value in values.items():
            weighted = value * weights[:, COLUMN[name]].view(-1, 1, 1, 1)
            arrived = weighted if arrived is None else arrived + weighted
        assert arrived is not None
        return arrived

    def next_node(self, arrived: Tensor) -> tuple[Tensor, Tensor]:
        """The node that has received all its edges (batch, channels, h, w), and what arrived at the later ones."""
        return arrived[:, 0], arrived[:, 1:]
