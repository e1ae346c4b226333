"""The count phase: a network is built and counted where training it would say nothing, or take too long."""

from __future__ import annotations

import time
from typing import Any

from bench.config import restore
from bench.plan.recipe import Recipe
from bench.records.directory import save_architecture
from bench.run.cost import network_costs
from bench.run.phases.task import Task, settings_for
from bench.run.phases.train import chosen_architecture
from methods.spaces import build


def run_count(task: Task) -> dict[str, Any]:
    """All counts of the network as the recipe would train it, and its latency; no step is made, no test image read."""
    began = time.monotonic()
    architecture, report = chosen_architecture(task, task.config["architecture"])
    save_architecture(architecture, task.directory.path)
    recipe = restore(Recipe, task.config["recipe"], "recipe")
    network = build(architecture, task.data.info.num_classes, settings_for(task, recipe)).to(task.engine.device)
    costs = network_costs(network, architecture.masks, task.image_shape, task.engine)
    seconds = time.monotonic() - began
    return {
        "metrics": {},
        "costs": costs | {"peak_memory": None, "wall_s": seconds, "device_s": seconds, "images": 0},
        "architecture": architecture.digest,
        "epochs": 0,
        "report": report,
    }
