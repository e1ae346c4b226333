"""What a supernet of cells asks of an executor.

The executor of a state computes all edges that leave it. What arrives at the later nodes is in a form that only it
knows: a sum of feature maps, a pair of them, nothing yet. An executor draws nothing at random, for it may compute
again in the backward pass (`methods.parts.executors.recompute`).

One that decides on the host what to run says `branches_on_host`: a recorded step would not decide again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from methods.parts.convolution import split_channels

Arrived = TypeVar("Arrived")


def branches_on_host(network: nn.Module) -> bool:
    """Whether a step of the network decides on the host what to run, so that it cannot be recorded as a graph."""
    return any(getattr(module, "branches_on_host", False) for module in network.modules())


class StateExecutor(nn.Module, ABC, Generic[Arrived]):
    """Executes all edges leaving one state of a cell."""

    branches_on_host: ClassVar[bool] = False

    @abstractmethod
    def forward(self, state: Tensor, gates: Any, arrived: Arrived | None = None) -> Arrived:
        """Send a state along its edges.

        Args:
            state: (batch, channels, h, w).
            gates: of these edges, in the order of their nodes.
            arrived: what earlier states sent to the same nodes; None where there was none.

        Returns:
            `arrived` plus what this state sends.
        """

    @abstractmethod
    def next_node(self, arrived: Arrived) -> tuple[Tensor, Arrived]:
        """The next node (batch, channels, h, w), all of whose edges have arrived, and what arrived at the others."""


MakeExecutor = Callable[[int, int, int], StateExecutor[Any]]
"""(channels, edges, stride) -> the executor of a state with this many edges leaving it."""


class SummingExecutor(StateExecutor[Tensor], ABC):
    """One that keeps what arrived as one tensor (batch, edges * channels, h, w), node by node."""

    channels: int

    def next_node(self, arrived: Tensor) -> tuple[Tensor, Tensor]:
        node, rest = split_channels(arrived, [self.channels, arrived.shape[1] - self.channels])
        return node, rest
