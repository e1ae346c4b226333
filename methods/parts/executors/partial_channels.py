"""The partial-channel executor: a share of the channels through another executor, the rest around it.

Xu et al., ICLR 2020, sections 3.3 and 3.4: 1/K of a state's channels enters the mixture; the rest bypasses it
(max-pooled where the edge has stride 2), is weighted by the edge's gate alone, and the channels are shuffled so that
the next edge sees others.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.parts.convolution import in_memory_format, split_channels
from methods.parts.executors import kernels
from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.executors.weighted_sum import weighted_sum
from methods.parts.gates import Gates

Arrived = tuple[Tensor, Tensor]
"""What arrived at the later nodes: through the mixture and around it, each (batch, edges * its channels, h, w)."""


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """(batch, channels, h, w): channel `g * (channels / groups) + i` moves to `i * groups + g` (ShuffleNet)."""
    if x.device.type == "cpu":  # where it stays in channels-last memory
        return x.permute(0, 2, 3, 1).unflatten(3, (groups, -1)).transpose(3, 4).flatten(3, 4).permute(0, 3, 1, 2)
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def _weigh(weights: Tensor, around: Tensor, arrived: Tensor | None) -> Tensor:
    if kernels.usable(around, [], len(weights), ["weighted_sum"]):
        from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

        sent = fused_weighted_sum(weights, [], [], [around])
        return sent if arrived is None else arrived + sent
    return weighted_sum(weights, [], [], [around], arrived=arrived)


class PartialChannels(StateExecutor[Arrived]):
    """All edges leaving one state of a cell, with `channels / share` of its channels through another executor.

    Raises:
        ValueError: `share` does not divide `channels`.
    """

    def __init__(self, channels: int, edges: int, stride: int, share: int, executor: MakeExecutor) -> None:
        super().__init__()
        if channels % share:
            raise ValueError(f"{channels} channels cannot be divided by partial_channels={share}")
        self.through, self.share, self.stride = channels // share, share, stride
        self.mixture = executor(self.through, edges, stride)

    def forward(self, state: Tensor, gates: Gates, arrived: Arrived | None = None) -> Arrived:
        """As the other executor's, with a pair for what arrived."""
        through, around = split_channels(state, [self.through, state.shape[1] - self.through])
        through, around = in_memory_format(through), in_memory_format(around)  # once, not in every candidate
        if self.stride == 2:
            around = F.max_pool2d(around, 2, 2)
        mixed, bypassed = (None, None) if arrived is None else arrived
        return self.mixture(through, gates, mixed), _weigh(gates.weights[:, None], around, bypassed)

    def next_node(self, arrived: Arrived) -> tuple[Tensor, Arrived]:
        """As the other executor's; the node's channels are shuffled."""
        mixed, mixed_rest = self.mixture.next_node(arrived[0])
        bypassed = self.through * (self.share - 1)
        around, around_rest = split_channels(arrived[1], [bypassed, arrived[1].shape[1] - bypassed])
        node = channel_shuffle(torch.cat([mixed, around], dim=1), self.share)
        return node, (mixed_rest, around_rest)


def partial_channels(executor: MakeExecutor, share: int) -> MakeExecutor:
    """1 / `share` of a state's channels through an executor; all of them where that is 1."""
    return executor if share == 1 else partial(PartialChannels, share=share, executor=executor)
