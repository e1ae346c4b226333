"""The network of a design, of PyTorch Geometric's layers.

You, Ying and Leskovec, NeurIPS 2020 (arXiv 2011.08843), section 3; what the paper leaves open is as in the released
code: the general layer has a second matrix for the node itself, one PReLU serves the whole network, features are
normalised to length one behind the message passing, and the last part of a network is a multi-layer perceptron of the
width that arrives there. A graph is read out by summing over its nodes.
"""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import ArchitectureError
from methods.spaces.graphgym.design import Design

AGGREGATIONS = {"mean": "mean", "max": "max", "sum": "add"}
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU, "swish": nn.SiLU}


def require_graphs() -> None:
    """Raises ArchitectureError where PyTorch Geometric is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it still uses torch.jit.script
            import torch_geometric.nn  # noqa: F401
    except ImportError as error:
        raise ArchitectureError(
            f"networks of graphs are made of PyTorch Geometric, which cannot be imported here ({error}); "
            "pip install 'dasbench[graphs]'"
        ) from None


class GraphGymNetwork(nn.Module):
    """Layers before, message passing, layers behind.

    `forward` takes a batch of PyTorch Geometric: `x` (nodes, features), `edge_index` (2, edges), and `batch` (nodes),
    the graph of each node.
    """

    def __init__(self, design: Design, width: int, features: int, outputs: int, per_graph: bool) -> None:
        """
        Args:
            width: of every hidden layer, behind concatenations more.
            features, outputs: numbers for each node, and for each node or graph.
            per_graph: outputs are of graphs: their nodes are summed before the last part.
        """
        require_graphs()
        super().__init__()
        self.per_graph, self.connectivity = per_graph, design.connectivity
        self.act = ACTIVATIONS[design.activation]()
        self.before, self.messages, self.behind = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for place in range(design.pre_layers):
            self.before.append(Layer(nn.Linear(features if place == 0 else width, width, bias=False), width, design))
        grown = width
        for _ in range(design.message_layers):
            self.messages.append(Layer(_message_passing(grown, width, design.aggregation), width, design))
            grown = grown + width if self.connectivity == "skip-cat" else width
        for _ in range(design.post_layers - 1):
            self.behind.append(Layer(nn.Linear(grown, grown, bias=False), grown, design))
        self.last = nn.Linear(grown, outputs)
        self.apply(_initialise)

    def forward(self, batch: Any) -> Tensor:
        """(nodes or graphs, outputs)."""
        x = cast(Tensor, batch.x)
        for layer in self.before:
            x = self.act(layer(x))
        for layer in self.messages:
            x = self.act(self._joined(x, layer(x, batch.edge_index)))
        x = F.normalize(x, dim=-1)
        if self.per_graph:
            from torch_geometric.nn import global_add_pool

            x = global_add_pool(x, batch.batch, batch.num_graphs)
        for layer in self.behind:
            x = self.act(layer(x))
        return cast(Tensor, self.last(x))

    def _joined(self, before: Tensor, after: Tensor) -> Tensor:
        if self.connectivity == "skip-sum":
            return before + after
        return torch.cat((before, after), 1) if self.connectivity == "skip-cat" else after


class Layer(nn.Module):
    """A linear map or message passing, then batch normalisation or a bias, then dropout; the activation is outside."""

    def __init__(self, inner: nn.Module, width: int, design: Design) -> None:
        super().__init__()
        self.inner = inner
        self.norm = nn.BatchNorm1d(width) if design.batch_norm else None
        self.bias = None if design.batch_norm else nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(design.dropout)

    def forward(self, *inputs: Tensor) -> Tensor:
        x = self.inner(*inputs)
        x = self.norm(x) if self.norm is not None else x + self.bias
        return cast(Tensor, self.dropout(x))


def _message_passing(inputs: int, outputs: int, aggregation: str) -> nn.Module:
    """One matrix for what neighbours send, aggregated, and one for the node itself."""
    from torch_geometric.nn import GeneralConv

    return cast(nn.Module, GeneralConv(inputs, outputs, aggr=AGGREGATIONS[aggregation], skip_linear=True, bias=False))


def _initialise(module: nn.Module) -> None:
    """Glorot's uniform weights, of plain linear layers with the gain of a ReLU; no bias."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight, nn.init.calculate_gain("relu"))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
