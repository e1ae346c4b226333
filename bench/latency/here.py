"""The conditions of this machine, and who measures on it when."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import torch

from bench.device.engine import choose_device, device_name, environment
from bench.latency.conditions import Conditions, LatencyError
from bench.latency.timing import Protocol
from methods.spaces import NetworkSettings, get_space


def conditions_here(
    space: str, settings: NetworkSettings, *, backend: str, device: str, threads: int, batch: int, classes: int,
    image_size: int, seed: int, rounds: int, calls: int,
) -> Conditions:  # fmt: skip
    """Those of this machine.

    Raises:
        DeviceError: the device is not there.
        LatencyError: the backend has no such device.
    """
    chosen = choose_device(device)
    if backend == "onnxruntime" and chosen.type != "cpu":
        raise LatencyError("ONNX Runtime is measured on the CPU; give --device cpu, or --backend torch")
    clock: Literal["cpu", "wall"] = "cpu" if chosen.type == "cpu" and threads == 1 else "wall"
    return Conditions(
        space, backend, device_name(chosen), chosen.type, threads, batch, settings.channels, settings.cells,
        settings.stem, classes, image_size, seed, get_space(space).reference().digest, Protocol(rounds, calls, clock),
        {name: dict(scale) for name, scale in settings.scales.items()}, settings.in_channels,
        versions=_versions(backend),
    )  # fmt: skip


def _versions(backend: str) -> dict[str, str]:
    found = {"torch": str(torch.__version__)}
    if backend == "onnxruntime":
        try:
            found |= {name: version(name) for name in ("onnxruntime", "onnx")}
        except PackageNotFoundError as error:
            raise LatencyError(
                f"ONNX Runtime needs the package {error.name}; pip install 'dasbench[latency]', or take --backend torch"
            ) from None
    return found


def provenance(conditions: Conditions) -> dict[str, Any]:
    """What a file says beside its conditions, as JSON values; no path and no host."""
    made = environment(torch.device(conditions.device_type), conditions.threads)
    told = {"commit": made["commit"], "dirty": made["dirty"], "python": platform.python_version()}
    return {**told, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
