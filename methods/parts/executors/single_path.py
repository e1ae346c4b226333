"""The single-path executor of cells: of every edge only the chosen operation is run (`methods.parts.executors.choice`).

Edges hold a module for each operation, those of the discrete network, so that a forward pass is that of the network
with the chosen operations to the bit. Without a choice it is the mixture of all operations, module by module: a
supernet that runs single paths can be asked for that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar, cast

from torch import Tensor, nn

from methods.parts.executors.choice import Choice
from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.gates import Gates

MakeOption = Callable[[str, int, int], nn.Module]
"""(operation, channels, stride) -> the module of that candidate on an edge."""
Arrived = tuple[Tensor, ...]
"""What arrived at each later node, (batch, channels, h, w)."""


Change = Callable[[nn.Module], nn.Module]
"""What a method makes of a candidate's module: the same or another one."""


def unchanged(option: nn.Module) -> nn.Module:
    return option


class SinglePath(StateExecutor[Arrived]):
    """All edges leaving one state of a cell.

    Args:
        channels, edges, stride: as of `Mixture`.
        operations: in the order of the gates' columns.
        make: the module of each.
    """

    branches_on_host: ClassVar[bool] = True

    def __init__(self, channels: int, edges: int, stride: int, operations: Sequence[str], make: MakeOption) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            Choice(make(operation, channels, stride) for operation in operations) for _ in range(edges)
        )

    def forward(self, state: Tensor, gates: Gates, arrived: Arrived | None = None) -> Arrived:
        """As `Mixture`'s, with a feature map for each later node."""
        edges = cast(Iterable[Choice], self.edges)
        sent = (edge(state, gates, row) for row, edge in enumerate(edges))
        return tuple(sent) if arrived is None else tuple(a + b for a, b in zip(arrived, sent, strict=True))

    def next_node(self, arrived: Arrived) -> tuple[Tensor, Arrived]:
        return arrived[0], arrived[1:]


def single_path(operations: Sequence[str], make: MakeOption, change: Change = unchanged) -> MakeExecutor:
    """The executor for these candidates, each as `change` leaves it."""
    return partial(SinglePath, operations=operations, make=lambda *place: change(make(*place)))
