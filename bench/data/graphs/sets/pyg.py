"""a data set of PyTorch Geometric: `options: {class: TUDataset, name: ENZYMES}` and `root`, where its files lie"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.config import ConfigError, nearest
from bench.data.graphs.settings import GraphSize, GraphTask
from bench.data.images import DataError
from methods.domain import shown


def load(task: GraphTask, size: GraphSize, runs_dir: Path | None) -> list[Any]:
    """Its graphs, as its class reads them; a class that can download does so into `root`."""
    return list(_dataset(task))


def own_sizes(task: GraphTask) -> tuple[int | None, int | None]:
    dataset = _dataset(task)
    labels = dataset[0].get("y")
    if labels is None or labels.is_floating_point() or labels.dim() > 1:
        return dataset.num_node_features, None
    return dataset.num_node_features, dataset.num_classes


def _dataset(task: GraphTask) -> Any:
    """Raises ConfigError for an unknown class or options it refuses, DataError for files that it cannot read."""
    import torch_geometric.datasets as all_sets

    options = dict(task.options)
    name = options.pop("class", None)
    if name not in all_sets.__all__:
        raise ConfigError(f"{task.name}: options.class is {shown(name)}" + nearest(name, all_sets.__all__))
    root = {"root": os.path.expandvars(os.path.expanduser(task.root))} if task.root else {}
    try:
        found = getattr(all_sets, name)(**root, **options)
        found[0]
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"{task.name}: {name} does not take root {shown(task.root)} and {options}: {error}") from None
    except Exception as error:  # each class reads and downloads in its own way, with errors of its own
        raise DataError(
            f"{task.name}: {name} cannot be read from {task.root or 'its place'}: {type(error).__name__}: {error}; "
            "bring its files there, or correct the task's options"
        ) from None
    return found
