"""The compare phase: one setting of a controlled comparison on graphs, every option trained with every seed.

A training takes seconds; those that are done are kept between attempts, and one that was stopped is done again.
"""

from __future__ import annotations

import json
import math
import time
from functools import cache
from typing import Any

import numpy as np
import torch

from bench.config import restore
from bench.data.graphs.settings import GraphSize, GraphTask
from bench.data.graphs.typed import GraphData, load_graphs
from bench.records.directory import write_atomically
from bench.records.run_info import RunInfo
from bench.run.graph_training import train_design
from bench.run.phases.context import RunContext, RunError
from bench.run.phases.lines import Lines
from methods.spaces.graphgym.design import REFERENCE, read_design

NAME = "trainings.jsonl"


def run_compare(run: RunContext) -> dict[str, Any]:
    """Train what is missing, in the order of seeds and then of options; trainings.jsonl has a line for each."""
    networks, seeds = run.config["networks"], run.config["seeds"]
    data = graphs_of(run.info, run)
    todo = [(seed, place) for seed in seeds for place in range(len(networks))]
    lines = Lines(run, len(todo))
    for seed, place in todo[len(lines.lines) :]:
        lines.add({"seed": seed, "network": place, **_train(run, data, networks[place], seed)})
    lines.keep()
    write_atomically(run.directory.path / NAME, "".join(json.dumps(line) + "\n" for line in lines.lines))
    names = names_of(run.config)
    accuracy = [[line["accuracy"] for line in lines.lines if line["network"] == n] for n in range(len(networks))]
    return {
        "metrics": {f"{name}/accuracy": float(np.mean(of)) for name, of in zip(names, accuracy, strict=True)},
        "costs": {
            "params": max(network["params"] for network in networks),
            "wall_s": lines.seconds,
            "device_s": lines.seconds,
            "images": 0,
            "peak_memory": None,
        },
        "trainings": len(todo),
        "epochs": 0,
        "report": {},
    }


def names_of(config: dict[str, Any]) -> list[str]:
    """What the networks of a run are called: by the option that they have, or as anchors by their places."""
    values = config["question"].get("values")
    return [str(value) for value in values] if values else [f"anchor {n}" for n in range(len(config["networks"]))]


def graphs_of(info: RunInfo, run: RunContext) -> GraphData:
    """The graphs of a run's task; those that are drawn are kept below RUNS_DIR."""
    said = dict(info.config["graphs"])
    size = restore(GraphSize, said.pop("size"), "graphs.size")
    asked = restore(GraphTask, {**said, "name": info.dataset, "root": info.folder or ""}, "graphs")
    return load_graphs(asked, size, run.directory.path.resolve().parent.parent)


def _train(run: RunContext, data: GraphData, network: dict[str, Any], seed: int) -> dict[str, Any]:
    """Every option of a setting has the same seeds, and so the same division and order of graphs.

    Raises:
        RunError: the network has another size than was planned.
    """
    design = read_design(network["design"])
    seeds = {use: run.seed(f"graphs {use}", seed) for use in ("split", "network", "order")}
    epochs = max(1, round(design.epochs / run.config["epochs_divided_by"]))
    found = train_design(design, network["width"], data, epochs, seeds, run.engine.device)
    if found["params"] != network["params"]:
        raise RunError(
            f"a network has {found['params']} parameters, and {network['params']} were planned: the data set has "
            f"changed. Remove {run.directory.path} to plan it anew"
        )
    return found


def seconds_of_comparing(info: RunInfo, device: torch.device) -> float:
    """For an estimate: by batches and layers, from a few steps of the reference design; a user's data set counts as
    that many graphs as the drawn ones have."""
    size = restore(GraphSize, info.config["graphs"]["size"], "graphs.size")
    steps = 0
    for network in info.config["networks"]:
        design = read_design(network["design"])
        epochs = max(1, round(design.epochs / info.config["epochs_divided_by"]))
        layers = design.pre_layers + design.message_layers + design.post_layers
        steps += epochs * math.ceil(size.graphs / design.batch_size) * layers
    return steps * len(info.config["seeds"]) * _seconds_of_a_layer(device)


@cache
def _seconds_of_a_layer(device: torch.device) -> float:
    """In a step with a batch of 32 graphs of 64 nodes."""
    asked = GraphTask("small_world", label="clustering", feature="constant")
    data, seeds = load_graphs(asked, GraphSize(graphs=32), None), dict.fromkeys(("split", "network", "order"), 0)
    layers, epochs = REFERENCE.pre_layers + REFERENCE.message_layers + REFERENCE.post_layers, 5
    train_design(REFERENCE, 64, data, 1, seeds, device)
    clock = (
        time.process_time if device.type == "cpu" else time.monotonic
    )  # what else this machine does is no part of it
    began = clock()
    train_design(REFERENCE, 64, data, epochs, seeds, device)
    return (clock() - began) / epochs / layers
