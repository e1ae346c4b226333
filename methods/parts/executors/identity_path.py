"""A path around what is chosen, that fades away: the identity regularisation of SurgeNAS (IEEE TC 2022), reconstructed
from its readable sibling LightNAS (stepbuystep/LightNAS), in which it is off by default.

The outcome of every decision is that of its candidates plus `eta` times its input, max-pooled where a cell halves it,
through a 1x1 convolution and a normalisation where a chain changes its shape. While that path is there, a candidate
that gives its input on has nothing over the others. At `eta` zero nothing of it is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.executors.single_path import Arrived


class IdentityPath(nn.Module):
    """`eta * shortcut(x)`.

    Attributes:
        eta: set by a schedule before each epoch.
    """

    def __init__(self, shortcut: nn.Module) -> None:
        super().__init__()
        self.shortcut, self.eta = shortcut, 0.0

    def added_to(self, outcome: Tensor, x: Tensor) -> Tensor:
        return outcome + self.eta * self.shortcut(x) if self.eta else outcome


class StateWithIdentity(StateExecutor[Arrived]):
    """All edges leaving one state of a cell, each with the state beside what is chosen."""

    def __init__(self, channels: int, edges: int, stride: int, executor: MakeExecutor) -> None:
        super().__init__()
        self.executor = executor(channels, edges, stride)
        self.around = IdentityPath(nn.Identity() if stride == 1 else nn.MaxPool2d(2, 2, ceil_mode=True))

    def forward(self, state: Tensor, gates: Any, arrived: Arrived | None = None) -> Arrived:
        """As the other executor's, which runs single paths."""
        sent: Arrived = self.executor(state, gates, arrived)
        return tuple(self.around.added_to(each, state) for each in sent)

    def next_node(self, arrived: Arrived) -> tuple[Tensor, Arrived]:
        found: tuple[Tensor, Arrived] = self.executor.next_node(arrived)
        return found


def beside_identity(executor: MakeExecutor) -> MakeExecutor:
    """An executor of single paths in cells, with this path."""
    return partial(StateWithIdentity, executor=executor)


def identity_paths(network: nn.Module) -> Iterator[IdentityPath]:
    return (module for module in network.modules() if isinstance(module, IdentityPath))
