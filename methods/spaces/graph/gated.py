"""The complete graph with a gate on every edge, which a threshold opens or closes: a supernet of graph cells.

The gate of an edge is sigmoid(alpha); it is open above a learned threshold, one for the graph, by an exact step whose
derivative is Dynamic Sparse Training's (`methods.gradient.mgas.step`). The output is never cut off: where no way from
input to output is open, the threshold counts as just below the weakest gate of the widest way. Open edges on no such
way carry nothing, as in the networks of the space, so that gates of one give what the network of the open edges gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.gradient.mgas.step import long_tailed_step
from methods.spaces.graph.network import SEPARABLE, STAGES, GraphCell, GraphNetwork, network_counts
from methods.spaces.graph.structure import Edge, complete, live


class EdgeGates(nn.Module):
    """Of a graph of `nodes` nodes; edges in the order of `complete`. They start near one half, above the threshold."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.nodes, self.edges = nodes, complete(nodes)
        self.alpha = nn.Parameter(1e-3 * torch.randn(len(self.edges)))
        self.threshold = nn.Parameter(torch.zeros(()))

    def open(self) -> Tensor:
        """(edges,): the gates of open edges, zero for the others; a gradient reaches both, and the threshold."""
        gates = self.alpha.sigmoid()
        with torch.no_grad():
            widest = torch.nextafter(self._widest(gates), gates.new_tensor(-torch.inf))
        return gates * long_tailed_step(gates - torch.minimum(self.threshold, widest))

    def forward(self) -> Tensor:
        """(edges,): as `open`, zero also for edges on no way from input to output."""
        found = self.open()
        with torch.no_grad():
            reached, leading = self.ways((found > 0).to(found.dtype))
            carrying = torch.stack([reached[source] * leading[target] for source, target in self.edges])
        return found * carrying

    def _widest(self, gates: Tensor) -> Tensor:
        """The weakest gate of the way from input to output on which it is strongest, 0-d."""
        width = [gates.new_tensor(torch.inf)]
        for target in range(1, self.nodes):
            into = [torch.minimum(width[source], gates[self._place(source, target)]) for source in range(target)]
            width.append(torch.stack(into).amax())
        return width[-1]

    def ways(self, kept: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of every node the probability that input reaches it, and that it reaches the output, 0-d each.

        Args:
            kept: (edges,), the probability that an edge is there, independent of others. Where ways share edges the
                answer is too high; for zeros and ones it is exact.
        """
        ones, last = kept.new_ones(()), self.nodes - 1
        reached, leading = [ones], {last: ones}
        for node in range(1, self.nodes):
            missed = [1 - kept[self._place(source, node)] * reached[source] for source in range(node)]
            reached.append(1 - torch.stack(missed).prod())
        for node in reversed(range(last)):
            missed = [1 - kept[self._place(node, target)] * leading[target] for target in range(node + 1, self.nodes)]
            leading[node] = 1 - torch.stack(missed).prod()
        return reached, [leading[node] for node in range(self.nodes)]

    def _place(self, source: int, target: int) -> int:
        return target * (target - 1) // 2 + source

    def kept(self) -> tuple[Edge, ...]:
        """The edges that carry something now, on the host: never none."""
        found = (self.open() > 0).tolist()
        return live([edge for edge, here in zip(self.edges, found, strict=True) if here], self.nodes)


class GatedGraph(nn.Module):
    """`forward(images)` gives logits (batch, num_classes). Every node is computed, whatever its edges."""

    def __init__(self, operations: Sequence[str], num_classes: int, channels: int, in_channels: int) -> None:
        super().__init__()
        self.operations, self.sizes = tuple(operations), (num_classes, channels, in_channels)
        self.gates = EdgeGates(len(operations))
        self.network = GraphNetwork(operations, self.gates.edges, *self.sizes)

    def weights(self) -> list[nn.Parameter]:
        return list(self.network.parameters())

    def forward(self, images: Tensor) -> Tensor:
        gates = self.gates()
        x = self.network.stem(images)
        for stage in self.network.stages:
            x = self._cell(stage, x, gates) if isinstance(stage, GraphCell) else stage(x)
        return self.network.head(x)

    def _cell(self, cell: GraphCell, x: Tensor, gates: Tensor) -> Tensor:
        states = [cell.nodes["0"](x)]
        places = iter(range(len(gates)))
        for target in range(1, len(self.operations)):
            entering = torch.stack([gates[next(places)] * states[source] for source in range(target)]).sum(dim=0)
            states.append(cell.nodes[str(target)](entering))
        return states[-1]

    def expected_macs(self, image_size: int) -> Tensor:
        """Of the network that keeps every open edge with its gate as probability, by `EdgeGates.ways`; 0-d.

        For gates of zero and one it is the number of MACs of the network that is left.
        """
        reached, leading = self.gates.ways(self.gates.open())
        own = [node_macs(operation, self.sizes[1], image_size) for operation in self.operations]
        whole = network_counts(self.operations, self.gates.edges, *self.sizes, image_size).macs
        there = [macs * reached[node] * leading[node] for node, macs in enumerate(own)]
        return torch.stack(there).sum() + (whole - sum(own))


def node_macs(operation: str, channels: int, image_size: int) -> int:
    """Of one node in the cells of all stages."""
    widths = [(channels * 2**stage, image_size >> stage) for stage in range(STAGES)]
    return sum((width**2 + 9 * width * (operation == SEPARABLE)) * side**2 for width, side in widths)
