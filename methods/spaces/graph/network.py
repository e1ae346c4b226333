"""Networks of graph cells: three stages of one cell each, the image halved and the width doubled between two.

AutoShrink's proxy has nodes of 16 filters (AAAI 2020, arXiv 1911.09251, released code); stem, stages and
head are ours. A node is the sum of its sources, then its operation: ReLU, convolution, normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.counts import Convolution, NetworkCounts, total_counts
from methods.spaces.graph.structure import Edge, live, live_nodes

SEPARABLE, POINTWISE = "separable_3x3", "conv_1x1"
OPERATIONS = (SEPARABLE, POINTWISE)
STAGES = 3


def make_node(operation: str, channels: int) -> nn.Module:
    """(batch, channels, h, w) to the same shape."""
    depthwise = [nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)]
    return nn.Sequential(
        nn.ReLU(),
        *(depthwise if operation == SEPARABLE else []),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


class GraphCell(nn.Module):
    """Only what lies on a way from the first node to the last is built; where there is no way, the output is zero."""

    def __init__(self, operations: Sequence[str], edges: Sequence[Edge], channels: int) -> None:
        super().__init__()
        self.last = len(operations) - 1
        self.sources = {
            node: [source for source, target in live(edges, len(operations)) if target == node]
            for node in live_nodes(edges, len(operations))
        }
        self.nodes = nn.ModuleDict({str(node): make_node(operations[node], channels) for node in self.sources})

    def forward(self, x: Tensor) -> Tensor:
        if not self.sources:
            return x * 0
        states: dict[int, Tensor] = {}
        for node, sources in self.sources.items():
            entering = [states[source] for source in sources] or [x]
            states[node] = self.nodes[str(node)](sum(entering[1:], start=entering[0]))
        return states[self.last]


class GraphNetwork(nn.Module):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head."""

    def __init__(
        self, operations: Sequence[str], edges: Sequence[Edge], num_classes: int, channels: int, in_channels: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        stages: list[nn.Module] = []
        for stage in range(STAGES):
            if stage:
                stages.append(halving(channels * 2 ** (stage - 1)))
            stages.append(GraphCell(operations, edges, channels * 2**stage))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels * 2 ** (STAGES - 1), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(images)))

    def head(self, x: Tensor) -> Tensor:
        """From the last cell's output to logits."""
        return self.classifier(F.adaptive_avg_pool2d(F.relu(x), 1).flatten(1))


def halving(channels: int) -> nn.Module:
    """Half the image, twice the channels."""
    return nn.Sequential(
        nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels)
    )


def network_counts(
    operations: Sequence[str],
    edges: Sequence[Edge],
    num_classes: int,
    channels: int,
    in_channels: int,
    image_size: int,
) -> NetworkCounts:
    """Parameters and MACs of that network, in closed form."""
    there = [operations[node] for node in live_nodes(edges, len(operations))]
    layers, norms = [Convolution(9 * in_channels * channels, image_size, image_size)], channels
    for stage in range(STAGES):
        width, side = channels * 2**stage, image_size >> stage
        if stage:
            layers.append(Convolution(width // 2 * width, side, side))
            norms += width
        weights = sum(width**2 + 9 * width * (operation == SEPARABLE) for operation in there)
        layers.append(Convolution(weights, side, side))
        norms += width * len(there)
    return total_counts(layers, norms, [(channels * 2 ** (STAGES - 1), num_classes)])
