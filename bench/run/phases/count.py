"""The count phase: a network is built and counted where training it would say nothing, or take too long."""

from __future__ import annotations

import time
from typing import Any

from bench.config import restore
from bench.plan.recipe import Recipe
from bench.records.directory import save_architecture
from bench.run.cost import network_costs
from bench.run.phases.context import RunContext, settings_for
from bench.run.phases.train import chosen_architecture
from methods.spaces import build


def run_count(run: RunContext) -> dict[str, Any]:
    """All counts of the network as the recipe would train it, and its latency; no step is made, no test image read."""
    began = time.monotonic()
    architecture, report = chosen_architecture(run, run.config["architecture"])
    save_architecture(architecture, run.directory.path)
    recipe = restore(Recipe, run.config["recipe"], "recipe")
    network = build(architecture, run.data.info.outputs, settings_for(run, recipe)).to(run.engine.device)
    costs = network_costs(network, architecture.masks, run.image_shape, run.engine)
    seconds = time.monotonic() - began
    return {
        "metrics": {},
        "costs": costs | {"peak_memory": None, "wall_s": seconds, "device_s": seconds, "images": 0},
        "architecture": architecture.digest,
        "epochs": 0,
        "report": report,
    }
