"""The single-path executor with the gates of what was not chosen added to its output, as GDAS was released for
NAS-Bench-201 (AutoDL-Projects, search_cells.py, forward_gdas; Dong and Yang, CVPR 2019).

Their values are zero, so that the output is what it was; each gate's gradient is the sum of the output's over all its
entries, as if the operation gave one everywhere.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.executors.single_path import Arrived
from methods.parts.gates import Gates


class UnchosenGates(StateExecutor[Arrived]):
    """All edges leaving one state, through another executor of single paths."""

    def __init__(self, channels: int, edges: int, stride: int, executor: MakeExecutor) -> None:
        super().__init__()
        self.executor = executor(channels, edges, stride)

    def forward(self, state: Tensor, gates: Gates, arrived: Arrived | None = None) -> Arrived:
        """As the other executor's."""
        sent: Arrived = self.executor(state, gates, arrived)
        if gates.chosen is None or not gates.options.requires_grad:
            return sent
        columns = range(gates.options.shape[1])
        zeros = [
            gates.options[row, [column for column in columns if column != chosen]].sum()
            for row, chosen in enumerate(gates.chosen)
        ]
        return tuple(each + zero for each, zero in zip(sent, zeros, strict=True))

    def next_node(self, arrived: Arrived) -> tuple[Tensor, Arrived]:
        found: tuple[Tensor, Arrived] = self.executor.next_node(arrived)
        return found


def with_unchosen_gates(executor: MakeExecutor) -> MakeExecutor:
    """An executor of single paths, with these gates added."""
    return partial(UnchosenGates, executor=executor)
