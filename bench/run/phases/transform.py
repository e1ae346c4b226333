"""The transform phase: from a trained network to a smaller or larger architecture and the weights it inherits."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.config import restore
from bench.data.seal import sealed
from bench.latency.timing import Protocol, timed
from bench.records.directory import save_architecture
from bench.records.inputs import found_architecture, verified_file
from bench.records.weights import WEIGHTS_NAME, load_weights, save_weights
from bench.run.phases.context import RunContext, RunError, with_provenance
from methods.base import Transform
from methods.registry import get_method
from methods.spaces import NetworkSettings, build


@sealed("the transform of a network")
def run_transform(run: RunContext) -> dict[str, Any]:
    """Change a trained network; write the architecture and the inherited weights."""
    started = time.monotonic()
    source = run.needed(run.config["source"])
    cls = get_method(run.info.method)
    context = replace(run.search_context(), stem=source.info.config["network"]["stem"], slowdown=partial(slowdown, run))
    method = cls(restore(cls.Options, run.config["options"], "options"), context)  # type: ignore[call-arg]
    if not isinstance(method, Transform):
        raise RunError(f"{run.info.method} is not a transform")
    architecture = found_architecture(source)
    settings = NetworkSettings(**source.info.config["network"], in_channels=run.image_shape[0])
    network = build(architecture, run.data.info.outputs, settings)
    load_weights(network, verified_file(source, WEIGHTS_NAME))
    match = run.config["match"]
    if match is not None:
        result = run.needed(match["run"]).result
        assert result is not None
        match = {"on": match["on"], "value": result["costs"][match["on"]]}
    transformed = method.apply(architecture, network.to(run.engine.device).eval(), match)
    smaller = with_provenance(run, transformed.architecture, method.provenance())
    save_architecture(smaller, run.directory.path)
    save_weights(transformed.weights, run.directory.path / WEIGHTS_NAME)
    seconds = time.monotonic() - started
    costs = {"peak_memory": run.engine.peak_memory(), "wall_s": seconds, "device_s": seconds, "images": 0}
    return {
        "metrics": {},
        "costs": costs,
        "architecture": smaller.digest,
        "epochs": 0,
        "report": dict(transformed.report),
    }


ROUNDS, CALLS = 10, 5
"""In turn, and forward passes of each in a round."""


def slowdown(run: RunContext, network: nn.Module, other: nn.Module) -> float:
    """The time of one network over that of another, both in turn on one image (`bench.latency.timing`)."""
    engine = run.engine
    images = torch.randn(1, *run.image_shape, generator=torch.Generator().manual_seed(0)).to(engine.device)
    images = images.contiguous(memory_format=engine.memory_format)

    @torch.inference_mode()
    def call(module: nn.Module) -> None:
        module(images)
        engine.synchronize()

    calls = [partial(call, each.to(memory_format=engine.memory_format)) for each in (network, other)]
    protocol = Protocol(ROUNDS, CALLS, "cpu" if engine.device.type == "cpu" else "wall")
    return timed(calls[0], calls[1], protocol).ratio(CALLS)
