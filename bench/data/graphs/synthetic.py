"""Small-world and scale-free graphs, spread evenly over clustering and mean shortest path.

You, Ying and Leskovec, NeurIPS 2020 (arXiv 2011.08843), appendix; rules and bounds from the released code
(`run/datasets/syn_graph.py`): graphs are drawn with random parameters until each of 8 x 8 classes of average clustering
coefficient and mean shortest path has four. Here drawing also stops when a stated number is reached; the released code
would fail on a graph that is not connected, which is drawn again here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np

from bench.data import kept
from bench.data.images import DataError
from bench.seeds import derive

CLUSTERING = np.linspace(0.3, 0.6, 7)
PATH_LENGTH = np.linspace(1.8, 3.0, 7)
A_CLASS = 4
"""Graphs of one class of clustering and path."""
MOST_DRAWS = 200_000
Draw = Callable[[int, np.random.Generator], nx.Graph]


def draw_graphs(name: str, draw: Draw, graphs: int, nodes: int) -> list[nx.Graph]:
    """The same graphs for the same name and numbers, on every machine with the same networkx.

    Raises:
        DataError: that many do not come up.
    """
    source = np.random.default_rng(derive(set=name, graphs=graphs, nodes=nodes))
    found: list[nx.Graph] = []
    counts = np.zeros((8, 8), dtype=int)
    for _ in range(MOST_DRAWS):
        graph = draw(nodes, source)
        if not nx.is_connected(graph):
            continue
        place = (
            np.digitize(nx.average_clustering(graph), CLUSTERING),
            np.digitize(nx.average_shortest_path_length(graph), PATH_LENGTH),
        )
        if counts[place] < A_CLASS:
            counts[place] += 1
            found.append(graph)
        if len(found) == graphs:
            return found
    raise DataError(
        f"only {len(found)} of {graphs} graphs of {name} with {nodes} nodes came up in {MOST_DRAWS:,} draws; ask for "
        "fewer, or for the published 64 nodes"
    )


def kept_graphs(name: str, draw: Draw, graphs: int, nodes: int, runs_dir: Path | None) -> list[nx.Graph]:
    """As `draw_graphs`, from the file below `runs_dir` where they were drawn before: it takes seconds to minutes."""
    places = () if runs_dir is None else (runs_dir / "data" / "graphs",)
    file = f"{name}-{graphs}-{nodes}.json"
    stored = kept.read(places, file)
    if stored is not None:
        return [_graph(nodes, edges) for edges in json.loads(stored)]
    found = draw_graphs(name, draw, graphs, nodes)
    edges = [[list(map(int, edge)) for edge in graph.edges] for graph in found]
    kept.write(places, file, json.dumps(edges).encode())
    return [_graph(nodes, each) for each in edges]


def _graph(nodes: int, edges: list[list[int]]) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges)
    return graph
