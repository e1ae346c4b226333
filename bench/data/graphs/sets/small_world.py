"""drawn small-world graphs (Watts and Strogatz) without labels or features of their own"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from bench.data.graphs.settings import GraphSize, GraphTask
from bench.data.graphs.synthetic import kept_graphs
from bench.data.graphs.typed import plain_graphs


def draw(nodes: int, source: np.random.Generator) -> nx.Graph:
    """Rings of 4 to 22 neighbours, of which each edge is moved with a probability of 0 to 1."""
    neighbours, moved = 2 * int(source.integers(2, 12)), int(source.integers(101)) / 100
    return nx.watts_strogatz_graph(nodes, min(neighbours, nodes - 1), moved, seed=int(source.integers(2**31)))


def load(task: GraphTask, size: GraphSize, runs_dir: Path | None) -> list[Any]:
    return plain_graphs(kept_graphs("small_world", draw, size.graphs, size.nodes, runs_dir))


def own_sizes(task: GraphTask) -> tuple[int | None, int | None]:
    return None, None
