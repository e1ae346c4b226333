"""Latency data sets that nobody measured: times by a formula, with noise and drift as asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bench.latency.collect import collect
from bench.latency.conditions import Conditions
from bench.latency.dataset import Job, LatencyData
from bench.latency.networks import jobs
from bench.latency.timing import Protocol, Timed
from methods.architecture import Architecture
from methods.parts.costs.encodings import encoding_of
from methods.spaces import get_space


def conditions(space: str, **others: object) -> Conditions:
    usual: dict[str, object] = {
        "backend": "torch", "device": "Fake CPU", "device_type": "cpu", "threads": 1, "batch": 1, "channels": 8,
        "cells": 5, "stem": "cifar", "classes": 10, "image_size": 32, "seed": 0,
        "reference": get_space(space).reference().digest, "protocol": Protocol(2, 1, "cpu"),
    }  # fmt: skip
    return Conditions(space, **(usual | others))  # type: ignore[arg-type]


def additive(space: str, seed: int = 0) -> Callable[[Architecture], float]:
    """Milliseconds that are a sum over choices."""
    encoding = encoding_of(space)
    generator = torch.Generator().manual_seed(seed)
    table = 0.2 + torch.rand(encoding.size, generator=generator, dtype=torch.float64)
    return lambda architecture: 3.0 + float(encoding.discrete(architecture).double() @ table)


class FakeClock:
    """Measures by a formula; everything takes longer and longer, and a share of noise is its own."""

    def __init__(self, formula: Callable[[Architecture], float], noise: float = 0.0, drift: float = 0.0) -> None:
        self.formula, self.noise, self.drift, self.calls = formula, noise, drift, 0
        self.generator = torch.Generator().manual_seed(1)

    def __call__(self, job: Job) -> Timed:
        self.calls += 1
        slower = 1 + self.drift * self.calls
        own = 1 + self.noise * float(torch.randn((), generator=self.generator).clamp(-3, 3))
        ms = self.formula(job.architecture) * slower * own
        return Timed((ms, 1.25 * ms), (2.0 * slower, 2.5 * slower))


def measured(
    path: Path, space: str, count: int, clock: FakeClock | None = None, operations: bool = True, **others: object
) -> LatencyData:
    use = clock or FakeClock(additive(space))
    return collect(path, conditions(space, **others), jobs(space, count, 0, operations), measure=use)
