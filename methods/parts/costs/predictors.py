"""From an encoded architecture to its latency: a table, a multi-layer perceptron, a graph network.

All take (n, size) encodings (`methods.parts.costs.encodings`) and give (n,) milliseconds, with a gradient. The learned
two predict the logarithm, standardised over what they were fitted on. The perceptron is the regressor of LA-DARTS (Xu
et al., arXiv 2001.06392) as reconstructed: two hidden layers of 128 and 64. The graph network stands for SurgeNAS'
(doi 10.1109/TC.2022.3188175), of which no more is known than that it is one over the operators: layers, sizes and
features are ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from methods.domain import MethodError
from methods.parts.costs.encodings import Encoding
from methods.parts.topology import Topology
from methods.spaces.operation_names import NONE

HIDDEN = (128, 64)
"""Of the perceptron."""
GRAPH_WIDTH, GRAPH_LAYERS = 32, 2


class Predictor(nn.Module):
    """Attributes:
    told: what it is, in a few words.
    """

    told: ClassVar[str]


class Table(Predictor):
    """A constant, and a number of milliseconds for every option of every decision."""

    told = "additive table"
    constant: Tensor
    options: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("constant", torch.zeros((), dtype=torch.float64))
        self.register_buffer("options", torch.zeros(size, dtype=torch.float64))

    def forward(self, encoded: Tensor) -> Tensor:
        return self.constant + encoded.to(self.options) @ self.options


class Logarithmic(Predictor, ABC):
    """One that predicts the standardised logarithm."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    @abstractmethod
    def standardised(self, encoded: Tensor) -> Tensor:
        """(n,): the logarithm of the latency, less its mean, over its standard deviation."""

    def forward(self, encoded: Tensor) -> Tensor:
        return (self.mean + self.deviation * self.standardised(encoded.to(self.mean))).exp()


class Perceptron(Logarithmic):
    """See above."""

    told = "multi-layer perceptron (reconstructed)"

    def __init__(self, size: int, hidden: tuple[int, int] = HIDDEN) -> None:
        super().__init__()
        first, second = hidden
        self.layers = nn.Sequential(
            nn.Linear(size, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 1)
        )

    def standardised(self, encoded: Tensor) -> Tensor:
        return cast(Tensor, self.layers(encoded))[:, 0]


class Graph(Logarithmic):
    """Message passing between the operators of a cell, or of a chain, along the data's way and against it.

    A node is a decision's operator. It starts as the sum of its options' vectors, each as often as it stands there,
    times a vector of its place, which learns what channels, resolution and stride do. What messages add to it counts as
    often as there is an operator; `none` is no operator. In the end they are summed up.
    """

    told = "graph network (reconstructed)"
    feeds: Tensor
    there: Tensor

    def __init__(self, topology: Topology, width: int = GRAPH_WIDTH, layers: int = GRAPH_LAYERS) -> None:
        super().__init__()
        self.shape = kinds, places, options = topology.shape
        feeds = [[float(node == source) for source, _ in topology.edges] for _, node in topology.edges]
        self.register_buffer("feeds", torch.tensor(feeds), persistent=False)
        there = torch.tensor([float(name != NONE) for name in topology.operations])
        self.register_buffer("there", there, persistent=False)
        self.options = nn.Parameter(torch.randn(options, width) / width**0.5)
        self.places = nn.Parameter(1 + 0.1 * torch.randn(kinds, places, width))
        self.own, self.forth, self.back = (
            nn.ModuleList(nn.Linear(width, width) for _ in range(layers)) for _ in range(3)
        )
        self.read = nn.Sequential(nn.Linear(kinds * width, width), nn.ReLU(), nn.Linear(width, 1))

    def standardised(self, encoded: Tensor) -> Tensor:
        x = encoded.unflatten(-1, self.shape) * self.there  # (n, kinds, places, options)
        there = x.sum(dim=-1, keepdim=True)
        state = (x @ self.options) * self.places
        for own, forth, back in zip(self.own, self.forth, self.back, strict=True):
            arrived = torch.einsum("ef,nkew->nkfw", self.feeds, state)
            answered = torch.einsum("fe,nkew->nkfw", self.feeds, state)
            state = state + (own(state) + forth(arrived) + back(answered)).relu() * there
        return cast(Tensor, self.read(state.sum(dim=2).flatten(1) / self.shape[1] ** 0.5))[:, 0]


class Make(Protocol):
    """A new predictor of an encoding, from torch's global generator."""

    def __call__(self, encoding: Encoding) -> Predictor: ...


def _graph(encoding: Encoding) -> Predictor:
    if encoding.topology is None:
        raise MethodError(f"{encoding.space} has no relaxation, so that no graph of its operators is known")
    return Graph(encoding.topology)


KINDS: dict[str, Make] = {
    "table": lambda encoding: Table(encoding.size),
    "operations": lambda encoding: Table(encoding.size),
    "mlp": lambda encoding: Perceptron(encoding.size),
    "graph": _graph,
}
"""Predictors by name. Two are tables: `table` is fitted to random networks, `operations` to those that differ from one
network in one operation."""
