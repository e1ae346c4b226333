"""The mixture executor for candidates that are whole convolutions, a pool, a skip connection and nothing: those of
NAS-Bench-201.

Convolutions of all edges that leave a state see the same rectified input: they are one convolution with as many times
the filters. Pools have no normalisation and are the same on every edge, as the state itself is. `none` adds nothing,
and its gate has gradient zero. This is the mathematics of one module for each edge and candidate (`tests/oracles`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.executors import kernels
from methods.parts.executors.mixture import uniform
from methods.parts.executors.protocol import SummingExecutor
from methods.parts.executors.weighted_sum import weighted_sum
from methods.parts.gates import Gates
from methods.spaces.operations import KNOWN, SKIP, is_pool, make_operation


class Convolutions(nn.Module):
    """A kxk convolution for each of several edges; `norm` is for the caller to apply.

    Maps a rectified state (batch, channels, h, w) to (batch, edges * channels, h, w).
    """

    def __init__(self, edges: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = uniform(edges * channels, channels, kernel, kernel, fan_in=channels * kernel**2)
        self.norm = nn.BatchNorm2d(edges * channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)


class ConvolutionMixture(SummingExecutor):
    """All edges leaving one state of a cell.

    Args:
        channels, edges, stride: as of `Mixture`; the stride is 1.
        operations: in the order of the gates' columns; `skip_connect` is one of them.

    Raises:
        ValueError: another stride, no `skip_connect`, or an operation that is of none of these kinds.
    """

    columns: Tensor

    def __init__(self, channels: int, edges: int, stride: int, operations: Sequence[str]) -> None:
        super().__init__()
        families = [KNOWN[name].family for name in operations]
        unknown = set(families) - {"nor_conv", "avg_pool", "max_pool", "skip_connect", "none"}
        if stride != 1 or unknown or SKIP not in operations:
            raise ValueError(f"no mixture of convolutions: stride {stride}, operations {', '.join(operations)}")
        self.channels = channels
        convolutions = [name for name, family in zip(operations, families, strict=True) if family == "nor_conv"]
        pools = [name for name in operations if is_pool(name)]
        self.convolutions = nn.ModuleDict(
            {name: Convolutions(edges, channels, KNOWN[name].kernel) for name in convolutions}
        )
        self.pools = nn.ModuleDict({name: make_operation(name, channels, channels, 1) for name in pools})
        columns = torch.tensor([operations.index(name) for name in (*convolutions, *pools, SKIP)])
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, state: Tensor, gates: Gates, arrived: Tensor | None = None) -> Tensor:
        weights = (gates.options * gates.weights[:, None]).index_select(1, self.columns)
        rectified = state.relu()
        convolutions = list(cast(Iterable[Convolutions], self.convolutions.values()))
        candidates, norms = [each(rectified) for each in convolutions], [each.norm for each in convolutions]
        shared = [*(module(state) for module in self.pools.values()), state]
        if kernels.usable(state, norms, len(weights), ["weighted_sum"]):
            from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

            sent = fused_weighted_sum(weights, candidates, norms, shared)
            return sent if arrived is None else arrived + sent
        return weighted_sum(weights, candidates, norms, shared, arrived=arrived)
