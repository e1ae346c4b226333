"""The fit phase: predictors of latency from the measurements of a collect run, judged on networks they never saw."""

from __future__ import annotations

import time
from typing import Any

import torch

from bench.latency.dataset import DATA_NAME, read_data
from bench.latency.fit import HELD_OUT, LEARNED, RELAXED, fit, gaps
from bench.latency.fitted_file import save_fit
from bench.records.inputs import verified_file
from bench.records.run_info import FITTED_NAME
from bench.run.phases.context import RunContext
from methods.domain import MethodError
from methods.parts.costs.encodings import Encoding, encoding_of
from methods.parts.costs.fitted import FittedCost
from methods.parts.costs.predictors import KINDS, Logarithmic
from methods.parts.costs.regression import EPOCHS, learn
from methods.spaces import get_space

TIMED_EPOCHS, TIMED_GATES = 5, 2
"""Of learning, and relaxed architectures of each sharpness, for an estimate."""


def run_fit(run: RunContext) -> dict[str, Any]:
    """Fit every kind of predictor and write them into one file.

    Raises:
        LatencyError: too few networks were measured.
    """
    began = time.monotonic()
    source = run.needed(run.config["latency"]["run"])
    found = fit(read_data(verified_file(source, DATA_NAME)))
    save_fit(found, run.directory.path / FITTED_NAME)
    errors = {f"error_{kind}": each.errors.mean for kind, each in found.fitted.items()}
    repeat = None if found.repeat is None else found.repeat.mean
    seconds = time.monotonic() - began
    return {
        "metrics": {**errors, "error_constant": found.constant.mean, "error_repeat": repeat},
        "costs": {"peak_memory": None, "wall_s": seconds, "device_s": seconds, "images": 0},
        "epochs": 0,
        "report": {"best": found.best, "fitted_on": found.fitted_on, "held_out": len(found.held_out)},
    }


def seconds_of_fitting(space: str, networks: int) -> float:
    """As long as a few epochs of learning and a few relaxed architectures take, for all of them.

    Args:
        networks: random ones that are measured.
    """
    encoding = encoding_of(space)
    return sum(_seconds_of_kind(kind, encoding, round((1 - HELD_OUT) * networks)) for kind in KINDS)


def _seconds_of_kind(kind: str, encoding: Encoding, fitted_on: int) -> float:
    try:
        predictor = KINDS[kind](encoding)
    except MethodError:
        return 0.0  # the space has no such predictor
    x = encoding.discrete(get_space(encoding.space).reference()).repeat(fitted_on, 1)
    ms = torch.linspace(1.0, 2.0, fitted_on, dtype=torch.float64)
    learning = 0.0
    if kind in LEARNED:
        assert isinstance(predictor, Logarithmic)
        learn(predictor, x, ms, seed=0, epochs=1)
        began = time.perf_counter()
        learn(predictor.requires_grad_(True), x, ms, seed=0, epochs=TIMED_EPOCHS)
        learning = (time.perf_counter() - began) * EPOCHS / TIMED_EPOCHS
    began = time.perf_counter()
    gaps(FittedCost(encoding, predictor, "ms"), relaxed_at_each=TIMED_GATES)
    return learning + (time.perf_counter() - began) * RELAXED / TIMED_GATES
