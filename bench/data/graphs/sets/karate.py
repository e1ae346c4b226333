"""Zachary's karate club: 34 members, 4 communities; ships inside PyTorch Geometric"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.data.graphs.settings import GraphSize, GraphTask

LEVEL = "node"


def load(task: GraphTask, size: GraphSize, runs_dir: Path | None) -> list[Any]:
    from torch_geometric.datasets import KarateClub

    return list(KarateClub())


def own_sizes(task: GraphTask) -> tuple[int | None, int | None]:
    return 34, 4
