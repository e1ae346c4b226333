"""The collect phase: latencies of random networks of a space, measured here, as `dasbench measure-latency` does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.data.images import DatasetInfo
from bench.device.engine import DeviceError, choose_device
from bench.latency.collect import Beside, collect
from bench.latency.conditions import Conditions
from bench.latency.dataset import DATA_NAME, Job
from bench.latency.here import conditions_here
from bench.latency.networks import jobs
from bench.records.run_info import RunInfo
from bench.run.phases.context import RunContext
from bench.run.stop import InterruptedRunError
from methods.spaces import NetworkSettings


def run_collect(run: RunContext) -> dict[str, Any]:
    """Measure what is not measured yet. It can be stopped after any network and goes on from there.

    Raises:
        DeviceError: as `conditions_of`.
        LatencyError: it was begun on another device, or with other versions.
    """
    began = time.monotonic()
    asked = conditions_of(run.config, run.data.info.outputs, run.image_shape)
    planned = list(jobs_of(run.config))

    def told(done: int, total: int, measured: object) -> None:
        run.directory.may_write()
        if run.stop.reason is not None and done < total:
            raise InterruptedRunError(run.stop.reason)

    data = collect(run.directory.path / DATA_NAME, asked, planned, told)
    seconds = time.monotonic() - began
    return {
        "metrics": {"networks": len(data.measured), "reference_ms": data.reference_ms, "drift": data.drift()},
        "costs": {"peak_memory": None, "wall_s": seconds, "device_s": seconds, "images": 0},
        "epochs": 0,
        "report": {"unit": asked.unit},
    }


def jobs_of(config: dict[str, Any]) -> Iterator[Job]:
    """The networks that are measured."""
    return jobs(config["space"], config["latency"]["measurements"], config["latency"]["seed"], operations=True)


def conditions_of(config: dict[str, Any], classes: int, image_shape: tuple[int, int, int]) -> Conditions:
    """Of this machine, as the configuration asks for them.

    Raises:
        DeviceError: the device is not there.
    """
    wanted = config["latency"]
    try:
        choose_device(wanted["device"])
    except DeviceError as error:
        raise DeviceError(
            f"a row's cost is measured on device '{wanted['device']}', which this machine has not ({error}). Run it on "
            "one that has, name another 'device' in the row's cost, or give it a 'file' that was measured there"
        ) from None
    return conditions_here(
        config["space"],
        NetworkSettings(**config["network"], in_channels=image_shape[0]),
        backend=wanted["backend"],
        device=wanted["device"],
        threads=wanted["threads"],
        batch=wanted["batch"],
        classes=classes,
        image_size=image_shape[-1],
        seed=wanted["seed"],
        rounds=wanted["rounds"],
        calls=wanted["calls"],
    )


def seconds_of_collecting(info: RunInfo, data: DatasetInfo) -> float:
    """As long as the first network takes, for each of them."""
    planned = list(jobs_of(info.config))
    shape = data.channels, data.image_size, data.image_size
    measure = Beside(conditions_of(info.config, data.outputs, shape))
    began = time.perf_counter()
    measure(planned[0])
    return len(planned) * (time.perf_counter() - began)
