"""The mixture executor: every candidate of every edge is computed, weighted by its gate and summed.

Edges are executed together by their *source state*: one ReLU for all, pools and their normalisation once (they have
no parameters), depthwise and 1x1 convolutions of all edges in one call, one weighted sum. This is the same mathematics
as one module per edge and candidate, which `tests/oracles` holds and the tests compare with.

Tensors of several edges are (batch, edges * channels, h, w), edge by edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.parts import compiled
from methods.parts.convolution import depthwise, pixels_of, pointwise, strided_pointwise
from methods.parts.executors import kernels
from methods.parts.executors.protocol import SummingExecutor
from methods.parts.executors.weighted_sum import weighted_sum
from methods.parts.gates import Gates
from methods.spaces.operations import DILATED, KNOWN, OPERATIONS, POOLS, SEPARABLE, SKIP, make_operation


def uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """The default initialisation of torch's convolutions, for weights kept in a batched shape."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class DepthwiseSeparable(nn.Module):
    """Depthwise and 1x1 convolution of several edges; `norm` is for the caller to apply.

    Maps (batch, edges * channels, h, w), already rectified, to the same with h and w divided by `stride`.
    """

    def __init__(self, edges: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.stride, self.dilation = stride, dilation
        self.depthwise = uniform(edges * channels, 1, kernel, kernel, fan_in=kernel**2)
        self.pointwise = uniform(edges, channels, channels, fan_in=channels)
        self.norm = nn.BatchNorm2d(edges * channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(depthwise(x, self.depthwise, self.stride, self.dilation), self.pointwise)


def _norm_relu(norm: nn.BatchNorm2d, z: Tensor) -> Tensor:
    if compiled.usable(z, [norm]):
        from methods.parts.compiled.rectified import norm_relu

        return norm_relu(norm, z)
    return cast(Tensor, norm(z)).relu_()


class Reduce(nn.Module):
    """The stride-2 skip connection (`FactorizedReduce`) of several edges, on a rectified state.

    Maps (batch, channels, h, w) to (batch, edges * channels, h / 2, w / 2); `norm` is for the caller to apply.
    """

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.edges = edges
        self.even = uniform(edges, channels // 2, channels, fan_in=channels)
        self.odd = uniform(edges, channels - channels // 2, channels, fan_in=channels)
        self.norm = nn.BatchNorm2d(edges * channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        even = strided_pointwise(x, self.even.flatten(0, 1)[..., None, None])
        odd = strided_pointwise(pixels_of(x, first=1), self.odd.flatten(0, 1)[..., None, None])
        halves = zip(even.chunk(self.edges, dim=1), odd.chunk(self.edges, dim=1), strict=True)
        return torch.cat([half for pair in halves for half in pair], dim=1)


class Mixture(SummingExecutor):
    """All edges leaving one state of a cell.

    Args:
        channels: channels of a state.
        edges: number of edges leaving the state, one to each later node.
        stride: 2 for the inputs of a reduction cell, else 1.
    """

    columns: Tensor

    def __init__(self, channels: int, edges: int, stride: int) -> None:
        super().__init__()
        self.channels, self.edges, self.stride = channels, edges, stride
        self.first = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KNOWN[name].kernel, stride) for name in SEPARABLE}
        )
        self.second = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KNOWN[name].kernel) for name in SEPARABLE}
        )
        # With stride 2, dilation 2 sees only even rows and columns: an undilated convolution of those.
        dilation = 2 if stride == 1 else 1
        self.dilated = nn.ModuleDict(
            {name: DepthwiseSeparable(edges, channels, KNOWN[name].kernel, dilation=dilation) for name in DILATED}
        )
        self.pools = nn.ModuleDict(
            {name: make_operation(name, channels, channels, stride, affine=False, pool_norm=True) for name in POOLS}
        )
        self.reduce = Reduce(edges, channels) if stride == 2 else None
        # The order in which `_candidates` names them.
        names = [*DILATED, *SEPARABLE, *POOLS, SKIP] if stride == 1 else [*DILATED, *SEPARABLE, SKIP, *POOLS]
        columns = torch.tensor([OPERATIONS.index(name) for name in names])
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, state: Tensor, gates: Gates, arrived: Tensor | None = None) -> Tensor:
        """Send a state along its edges.

        Args:
            state: (batch, channels, h, w).
            gates: of these edges, in the order of their nodes.
            arrived: (batch, edges * channels, h / stride, w / stride), what earlier states sent to the same nodes.

        Returns:
            `arrived` plus what this state sends.
        """
        weights = (gates.options * gates.weights[:, None]).index_select(1, self.columns)
        if kernels.usable(state, self.norms(), self.edges):
            sent = self._fused(weights, state)
            return sent if arrived is None else arrived + sent
        return weighted_sum(weights, *self._candidates(state), arrived)

    def norms(self) -> list[nn.Module]:
        """All normalisations of the candidates."""
        modules: list[Any] = [*self.dilated.values(), *self.first.values(), *self.second.values()]
        modules += [] if self.reduce is None else [self.reduce]
        return [*(module.norm for module in modules), *(pooled[1] for pooled in self._pools())]

    def _pools(self) -> list[Any]:
        return list(self.pools.values())

    def _fused(self, weights: Tensor, state: Tensor) -> Tensor:
        """`weighted_sum` of `_candidates` by the kernels: nothing is repeated for the edges or rectified in memory."""
        from methods.parts.executors.kernels.depthwise import norm_relu_depthwise, relu_depthwise
        from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

        state = state.contiguous()  # once, not in every kernel: with partial channels it is a slice
        candidates, last = [], []
        for module in cast(Iterable[DepthwiseSeparable], self.dilated.values()):
            x = relu_depthwise(state, module.depthwise, self.stride, dilation=2)
            candidates.append(pointwise(x, module.pointwise))
            last.append(module)
        for name in SEPARABLE:
            first, second = cast(DepthwiseSeparable, self.first[name]), cast(DepthwiseSeparable, self.second[name])
            z = pointwise(relu_depthwise(state, first.depthwise, self.stride), first.pointwise)
            candidates.append(pointwise(norm_relu_depthwise(z, second.depthwise, first.norm), second.pointwise))
            last.append(second)
        shared = [pooled(state) for pooled in self._pools()]
        norms = [module.norm for module in last]
        if self.reduce is None:
            shared.append(state)
        else:
            candidates.append(self.reduce(state.relu()))
            norms.append(self.reduce.norm)
        return fused_weighted_sum(weights, candidates, norms, shared)

    def _repeated(self, state: Tensor, rectified: Tensor) -> Tensor:
        """A rectified state, once for every edge."""
        if compiled.usable(state):
            from methods.parts.compiled.rectified import relu_repeat

            return relu_repeat(state, self.edges)
        return torch.cat([rectified] * self.edges, dim=1)

    def _candidates(
        self, state: Tensor
    ) -> tuple[list[Tensor], list[nn.BatchNorm2d], list[Tensor], list[nn.BatchNorm2d]]:
        """The candidates of every edge before their normalisation, their norms; the same of those that all share."""
        rectified = state.relu()
        repeated = self._repeated(state, rectified)
        kept = repeated if self.stride == 1 else torch.cat([pixels_of(rectified, step=2)] * self.edges, dim=1)
        last: list[tuple[Any, Tensor]] = [(self.dilated[name], kept) for name in DILATED]
        for name in SEPARABLE:
            first: Any = self.first[name]
            last.append((self.second[name], _norm_relu(first.norm, first(repeated))))
        shared = [pool(state) for pool, _ in self._pools()]
        if self.reduce is None:
            shared.append(state)
        else:
            last.append((self.reduce, rectified))
        norms = [module.norm for module, _ in last]
        return [module(x) for module, x in last], norms, shared, [norm for _, norm in self._pools()]
