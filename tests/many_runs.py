"""Thousands of finished runs, each where a real plan has it, so that every command takes them for its own.

    python -m tests.many_runs RUNS_DIR --experiment demo --profile quick --search-seeds 124 --retrain-seeds 4

writes 3,020 of them in about a minute. What came out is invented (`tests.reports.synthetic`), what was asked is real.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from methods.architecture import Architecture
from methods.genotypes import published
from methods.spaces import get_space
from tests.reports.synthetic import ENVIRONMENT, Kind, search_values, train_result

BEGIN = 1_700_000_000.0
HOUR = 3600.0
KINDS = {
    "darts": Kind("darts", "darts", 3.00, params=3.2e6, hours=9.6),
    "pc_darts": Kind("pc_darts", "pc_darts", 2.70, params=3.6e6, macs=5.6e8, hours=2.4),
    "mgas": Kind("mgas", "mgas", 3.40, params=0.7e6, macs=1.4e8, hours=14.0, sparsity=0.01),
    "random_sampling": Kind("random", "random_sampling", 3.10, between=0.19, hours=1.0),
}


def write(
    runs_dir: Path, name: str = "demo", profile: str = "quick", searches: int = 124, retrains: int = 4, epochs: int = 20
) -> list[RunInfo]:
    """Every run of a plan as done, with `epochs` lines of metrics; the plan.

    Raises:
        ConfigError: no such experiment or profile.
    """
    experiment = load_experiment(name)
    planned = plan(experiment, profile, search_seeds=range(searches), retrain_seeds=range(retrains))
    folder = runs_dir / f"{experiment.name}-{profile}"
    found: dict[str, Architecture] = {}
    with mock.patch("os.fsync"):  # nobody mourns them
        for number, info in enumerate(planned):
            _write_one(folder, info, found, epochs, BEGIN + 60.0 * number)
    return planned


def _write_one(folder: Path, info: RunInfo, found: dict[str, Architecture], epochs: int, begin: float) -> None:
    generator = np.random.default_rng(int(info.signature[:8], 16))
    kind = KINDS.get(info.method) or Kind(info.label, info.method, 3.3, hours=5.0)
    architecture = found[info.signature] = _architecture(info, found)
    info.status, info.environment = "done", dict(ENVIRONMENT)
    info.created, info.started, info.finished = begin, begin + 1, begin + HOUR
    run = RunDirectory(folder / info.name)
    run.create(info)
    lines = 0 if info.phase == "transform" else epochs
    for epoch in range(lines):
        values = search_values(kind, epoch, epochs, generator)
        if info.phase == "train":
            values = {name.replace("valid/", "test/"): value for name, value in values.items() if name[0] in "vt"}
        run.append_metrics(epoch, epoch * 10, values, epoch * 60.0, epoch * 60.0)
    architecture.save(run.path)
    run.write_result({**_result(info, kind, architecture, generator), "epochs": lines})


def _architecture(info: RunInfo, found: dict[str, Architecture]) -> Architecture:
    """A training's is that of the run it needs, or the published one; any other run finds one of its own."""
    if info.phase == "train":
        given = info.config["architecture"].get("published")
        return published(given) if given else found[info.needs[0]]
    generator = torch.Generator().manual_seed(int(info.signature[:8], 16))
    if info.method != "mgas":
        return get_space("darts_cell").sample(generator)
    cells = [get_space("darts_cell").sample(generator).genotype["normal"] for _ in range(4)]
    return Architecture("dense_cell", {"cells": cells}, {"channels": 16, "cells": 4})


def _result(info: RunInfo, kind: Kind, architecture: Architecture, generator: Any) -> dict[str, Any]:
    same = {"phase": info.phase, "signature": info.signature, "architecture": architecture.digest, "report": {}}
    if info.phase == "train":
        error = kind.error + float(generator.normal(0, kind.between))
        network = {"image_shape": [1, 8, 8], "classes": 10}
        return {**train_result(kind, architecture, error), **same, "network": network}
    seconds = kind.hours * HOUR
    costs = {"params": 1930618, "peak_memory": kind.memory, "wall_s": seconds, "device_s": seconds, "images": 1000}
    metrics = {"valid_accuracy": 88.0 + float(generator.normal())} if info.phase == "search" else {}
    return {**same, "metrics": metrics, "costs": costs}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.many_runs")
    parser.add_argument("runs_dir", type=Path)
    parser.add_argument("--experiment", default="demo")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--search-seeds", type=int, default=124)
    parser.add_argument("--retrain-seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    planned = write(
        options.runs_dir, options.experiment, options.profile, options.search_seeds, options.retrain_seeds,
        options.epochs,
    )  # fmt: skip
    print(f"{len(planned)} runs in {options.runs_dir}")


if __name__ == "__main__":
    main()
