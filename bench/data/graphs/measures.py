"""Labels and features computed on graphs, by the rules of GraphGym's released code (`models/feature_augment.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Values = npt.NDArray[np.float64]


def clustering(graph: nx.Graph) -> Values:
    """Of each node, in the order of the nodes."""
    found = nx.clustering(graph)
    return np.array([found[node] for node in graph.nodes])


def pagerank(graph: nx.Graph) -> Values:
    """Of each node, damping .85."""
    found = nx.pagerank(graph)
    return np.array([found[node] for node in graph.nodes])


def path_length(graph: nx.Graph) -> Values:
    """The mean shortest path of a connected graph, one number. Raises networkx.NetworkXError for another."""
    return np.array([nx.average_shortest_path_length(graph)])


MEASURES = {"clustering": clustering, "pagerank": pagerank, "path_length": path_length}


def balanced_classes(values: Sequence[Values], classes: int) -> list[Tensor]:
    """Classes of about equally many values: the edges are at equal steps of all values of all graphs in their order.

    Equal values are of one class, so that where many are equal classes can be empty.

    Args:
        values: of each graph, those of its nodes, or one.

    Returns:
        int64, in the same form.
    """
    ordered = np.sort(np.concatenate(values))
    edges = np.unique(ordered[np.linspace(0, len(ordered), classes, endpoint=False).astype(int)])
    return [torch.from_numpy(np.digitize(each, edges) - 1).long() for each in values]


def positions(values: Sequence[Values], dimensions: int) -> list[Tensor]:
    """Values as cosines and sines of falling frequency, as positions in a text are written for a transformer.

    A value is first multiplied by dimensions / 2 / the largest value of all graphs.

    Returns:
        float32, (nodes, dimensions) of each graph.
    """
    largest = max(float(each.max()) for each in values)
    half = dimensions // 2
    frequencies = 10000.0 ** -(torch.arange(half, dtype=torch.float32) / half)
    found = []
    for each in values:
        angles = torch.from_numpy(each * (half / largest if largest else 0.0)).float()[:, None] * frequencies
        found.append(torch.cat((angles.cos(), angles.sin()), 1))
    return found


def feature_values(feature: str, graphs: Sequence[nx.Graph], generator: torch.Generator) -> list[Values]:
    """Of each node one number: 1, one of a permutation of the nodes drawn for each graph, or a measure."""
    if feature == "constant":
        return [np.ones(len(graph)) for graph in graphs]
    if feature == "one_hot":
        return [torch.randperm(len(graph), generator=generator).double().numpy() for graph in graphs]
    return [MEASURES[feature](graph) for graph in graphs]
