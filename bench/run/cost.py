"""What a network costs. Every number is defined here, once.

params            parameters of inference: everything but the auxiliary head
params_training   the same with the auxiliary head
params_nonzero    params without the weights that masks hold at zero
macs              multiply-adds of convolutions and linear layers, one image, at the stated resolution
macs_fvcore       fvcore's total for the same image: it adds 2 per element for each normalisation, and pooling
macs_sparse       macs without those of masked weights
latency_ms        median milliseconds of one forward pass (torch.utils.benchmark), evaluation mode, stated batch
peak_memory       bytes, see `bench.device.engine.Engine.peak_memory`
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.device.engine import Engine
from bench.device.packages import fvcore_obstacle
from methods.parts.counts import ImageShape, count_macs, count_nonzero, count_params

LATENCY_SECONDS = 0.3
"""Least time spent measuring one latency."""


def fvcore_macs(network: nn.Module, image_shape: ImageShape) -> int | None:
    """fvcore's count for one image in evaluation mode; fvcore calls it "flops" and it counts multiply-adds.

    None where fvcore cannot be imported, see `bench.device.packages.fvcore_obstacle`: it is no longer maintained.
    """
    if fvcore_obstacle() is not None:
        return None
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    device = next(network.parameters()).device
    copied = copy.deepcopy(network).eval()
    analysis = FlopCountAnalysis(copied, torch.zeros(1, *image_shape, device=device))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analysis.total())


def latency(network: nn.Module, image_shape: ImageShape, engine: Engine, batch: int = 1) -> dict[str, float]:
    """Median and interquartile range, in milliseconds, of a forward pass on the engine's device."""
    from torch.utils.benchmark import Timer

    network.eval()
    images = torch.zeros(batch, *image_shape, device=engine.device)

    def forward() -> None:
        with torch.no_grad(), engine.autocast():
            network(images)

    timer = Timer("forward()", globals={"forward": forward}, num_threads=torch.get_num_threads())
    measured = timer.blocked_autorange(min_run_time=LATENCY_SECONDS)
    return {"latency_ms": measured.median * 1e3, "latency_iqr_ms": measured.iqr * 1e3, "latency_batch": batch}


def network_costs(
    network: nn.Module, masks: Mapping[str, Tensor], image_shape: ImageShape, engine: Engine
) -> dict[str, Any]:
    """All counts of a built network, and its latency on this device."""
    obstacle = fvcore_obstacle()
    if obstacle is not None:
        print(f"warning: {obstacle}", file=sys.stderr)
    return {
        "params": count_params(network),
        "params_training": count_params(network, auxiliary=True),
        "params_nonzero": count_nonzero(network, masks),
        "macs": count_macs(network, image_shape),
        "macs_fvcore": fvcore_macs(network, image_shape),
        "macs_sparse": count_macs(network, image_shape, masks),
        "resolution": image_shape[-1],
        **latency(network, image_shape, engine),
    }
