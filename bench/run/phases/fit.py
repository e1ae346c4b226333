"""The fit phase: predictors of latency from the measurements of a collect run, judged on networks they never saw."""

from __future__ import annotations

import time
from typing import Any

from bench.latency.dataset import read_data
from bench.latency.fit import fit
from bench.latency.fitted_file import save_fit
from bench.records.inputs import verified_file
from bench.records.run_info import FITTED_NAME
from bench.run.phases.collect import DATA_NAME
from bench.run.phases.task import Task


def run_fit(task: Task) -> dict[str, Any]:
    """Fit every kind of predictor and write them into one file.

    Raises:
        LatencyError: too few networks were measured.
    """
    began = time.monotonic()
    source = task.needed(task.config["latency"]["run"])
    found = fit(read_data(verified_file(source, DATA_NAME)))
    save_fit(found, task.directory.path / FITTED_NAME)
    errors = {f"error_{kind}": each.errors.mean for kind, each in found.fitted.items()}
    repeat = None if found.repeat is None else found.repeat.mean
    seconds = time.monotonic() - began
    return {
        "metrics": {**errors, "error_constant": found.constant.mean, "error_repeat": repeat},
        "costs": {"peak_memory": None, "wall_s": seconds, "device_s": seconds, "images": 0},
        "epochs": 0,
        "report": {"best": found.best, "fitted_on": found.fitted_on, "held_out": len(found.held_out)},
    }
