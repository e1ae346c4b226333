"""Graphs as PyTorch Geometric has them, with the labels and features of a task, divided into two parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from bench.config import ConfigError
from bench.data.graphs.measures import MEASURES, balanced_classes, feature_values, positions
from bench.data.graphs.settings import COMPUTED_CLASSES, COMPUTED_FEATURES, GraphSize, GraphTask
from bench.data.images import DataError
from bench.seeds import derive

TRAINED = 0.8
"""Share of the nodes, or of the graphs, that is trained on; the others are evaluated on, as released."""


@dataclass(frozen=True)
class GraphData:
    """The graphs of a task.

    Attributes:
        graphs: of PyTorch Geometric, with `x` (nodes, features) and `y` (nodes,) or (1,), int64.
        features, classes: numbers of each node, and number of classes.
    """

    task: GraphTask
    graphs: Sequence[Any]
    features: int
    classes: int

    def divided(self, seed: int) -> tuple[list[Any], list[Any]]:
        """Graphs to train on and to evaluate on, each with `chosen`, which of its nodes or whether it counts.

        Of a task on nodes both have all graphs: the others' labels are hidden, their nodes are not.
        """
        source = torch.Generator().manual_seed(seed)
        if self.task.level == "graph":
            places = torch.randperm(len(self.graphs), generator=source).tolist()
            cut = round(TRAINED * len(places))
            parts = [[self.graphs[place] for place in places[:cut]], [self.graphs[place] for place in places[cut:]]]
            return _chosen(parts[0], None), _chosen(parts[1], None)
        trained = []
        for graph in self.graphs:
            order = torch.randperm(graph.num_nodes, generator=source)
            mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
            mask[order[: round(TRAINED * graph.num_nodes)]] = True
            trained.append(mask)
        return _chosen(self.graphs, trained), _chosen(self.graphs, [~mask for mask in trained])


def _chosen(graphs: Sequence[Any], masks: Sequence[Tensor] | None) -> list[Any]:
    found = []
    for place, graph in enumerate(graphs):
        copy = graph.clone()
        copy.chosen = torch.ones(1, dtype=torch.bool) if masks is None else masks[place]
        found.append(copy)
    return found


def plain_graphs(graphs: Sequence[nx.Graph]) -> list[Any]:
    """Of PyTorch Geometric, without labels and features."""
    from torch_geometric.utils import from_networkx

    return [from_networkx(graph) for graph in graphs]


def load_graphs(task: GraphTask, size: GraphSize, runs_dir: Path | None = None) -> GraphData:
    """The graphs of a task with its labels and features.

    Args:
        runs_dir: where graphs that were drawn are kept.

    Raises:
        ArchitectureError: PyTorch Geometric is not installed.
        ConfigError, DataError: the set has no such labels or features, or cannot be read.
    """
    from methods.spaces.graphgym.network import require_graphs

    require_graphs()
    features, classes = task.sizes()
    graphs = task.module.load(task, size, runs_dir)
    if len(graphs) < 2 and task.level == "graph":
        raise DataError(f"{task.name} has {len(graphs)} graph; telling graphs apart takes more")
    labels, known = _labels(task, graphs), _features(task, graphs)
    made = [_with(graph, x, y) for graph, x, y in zip(graphs, known, labels, strict=True)]
    return GraphData(task, made, features, classes)


def _with(graph: Any, x: Tensor, y: Tensor) -> Any:
    from torch_geometric.data import Data

    return Data(x=x, edge_index=graph.edge_index, y=y, num_nodes=graph.num_nodes)


def _labels(task: GraphTask, graphs: Sequence[Any]) -> list[Tensor]:
    if task.label == "own":
        labels = [graph.y.view(-1).long() for graph in graphs]
        for graph, each in zip(graphs, labels, strict=True):
            if len(each) != (graph.num_nodes if task.level == "node" else 1):
                raise ConfigError(
                    f"the labels of {task.name} are not of a {task.level}: a graph of {graph.num_nodes} nodes has "
                    f"{len(each)}; set level to {'graph' if task.level == 'node' else 'node'}"
                )
        return labels
    try:
        values = [MEASURES[task.label](each) for each in _networkx(graphs)]
    except nx.NetworkXError as error:
        raise DataError(f"{task.name}: {task.label} cannot be computed: {error}; choose another label") from None
    return balanced_classes(values, COMPUTED_CLASSES)


def _features(task: GraphTask, graphs: Sequence[Any]) -> list[Tensor]:
    if task.feature == "own":
        return [graph.x.float() for graph in graphs]
    source = torch.Generator().manual_seed(derive(task=task.name, use="feature"))
    return positions(feature_values(task.feature, _networkx(graphs), source), COMPUTED_FEATURES)


def _networkx(graphs: Sequence[Any]) -> list[nx.Graph]:
    from torch_geometric.utils import to_networkx

    return [to_networkx(graph, to_undirected=True) for graph in graphs]
