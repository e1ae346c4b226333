"""drawn scale-free graphs (Holme and Kim's power law with clustering) without labels or features of their own"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from bench.data.graphs.settings import GraphSize, GraphTask
from bench.data.graphs.synthetic import kept_graphs
from bench.data.graphs.typed import plain_graphs


def draw(nodes: int, source: np.random.Generator) -> nx.Graph:
    """Each new node brings 2 to 11 edges, and closes triangles with a probability of 0 to 1."""
    edges, closed = int(source.integers(2, 12)), int(source.integers(101)) / 100
    return nx.powerlaw_cluster_graph(nodes, edges, closed, seed=int(source.integers(2**31)))


def load(task: GraphTask, size: GraphSize, runs_dir: Path | None) -> list[Any]:
    return plain_graphs(kept_graphs("scale_free", draw, size.graphs, size.nodes, runs_dir))


def own_sizes(task: GraphTask) -> tuple[int | None, int | None]:
    return None, None
