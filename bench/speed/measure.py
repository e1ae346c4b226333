"""Times of a step on this machine: beside its textbook, beside itself without a graph, and beside the roofline.

The roofline is the longer of operations over the device's measured rate and bytes over its measured bandwidth, for the
operations as they are dispatched.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.device.engine import Engine, device_name
from bench.device.graph import WARM_UP, GraphedStep
from bench.speed.cases import Case, Step
from bench.speed.count import moved, saved_bytes
from methods.parts.cpu_choices import CpuChoices, choosing, chosen
from methods.parts.executors import kernels

Times = tuple[list[float], list[float], list[float]]
"""Milliseconds of a case's step, of its textbook and of its step without a graph."""

KINDS = {
    "batch norm": r"batch_norm|native_batch_norm|bn_|weighted_sum|statistics_|norm_gradient",
    "depthwise": r"depthwise|dgrad2d_grouped|conv_depthwise",
    "convolution": r"conv|winograd|implicit_gemm|cudnn",
    "matrix product": r"gemm|::mm|bmm|addmm|matmul|baddbmm",
    "pooling": r"pool",
    "optimiser": r"fused_sgd|fused_adam|foreach|_fused",
    "copies": r"copy|cat|clone|contiguous|stack|memcpy|memset|fill|zero_",
    "elementwise": r"relu|threshold|::mul|::add|::sub|::div|sum|softmax|elementwise|vectorized|sqrt|norm",
}


def measure(group: Sequence[Case], engine: Engine, repeats: int, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    """A row of the table for each case: times in milliseconds, memory in bytes, shares in percent of the profiled time.

    The steps of all cases of a group are timed in turn. Memory held on a GPU is that of one case alone in its group.
    """
    held = [_warm_up(case, engine) for case in group]
    alone = len(group) == 1
    for case, memory, times in zip(group, held, _alternate(group, engine, repeats), strict=True):
        beside = " ".join(other.name for other in group if other is not case)
        yield {
            **_timed(case, times, engine),
            **_counted(case, engine, limits, repeats),
            "peak_memory": memory[0] if alone else None,
            "reserved_memory": memory[1] if alone else None,
            "graph": how_run(case),
            "own_kernels": kernels.why_not() or "yes",
            "cpu_choices": None if engine.device.type == "cuda" else describe(chosen()),
            **_profile(case.step, engine),
            "in_turn_with": beside or None,
        }


def _warm_up(case: Case, engine: Engine) -> tuple[int | None, int | None]:
    """First steps, with their recording on a GPU; there, what they held at most and what the allocator holds after."""
    engine.reset_peak_memory()
    for _ in range(WARM_UP + 2 if case.eager else 1):
        case.step()
    engine.synchronize()
    if engine.device.type != "cuda":
        return None, None
    return engine.peak_memory(), torch.cuda.memory_reserved(engine.device)


def _timed(case: Case, times: Times, engine: Engine) -> dict[str, Any]:
    own, oracles, eagers = times
    step = statistics.median(own)
    oracle = statistics.median(oracles) if oracles else None
    return {
        "case": case.name,
        "channels": case.channels,
        "cells": case.cells,
        "batch": case.batch,
        "precision": engine.precision,
        "device": device_name(engine.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "n": len(own),
        "step_ms": step,
        "step_ms_min": min(own),
        "step_ms_max": max(own),
        "images_per_s": case.images / step * 1e3,
        "data_share_percent": data_share(step / 1e3, case.images, engine),
        "eager_ms": statistics.median(eagers) if eagers else None,
        "oracle_ms": oracle,
        "speedup": oracle / step if oracle else None,
    }


def _counted(case: Case, engine: Engine, limits: dict[str, float], repeats: int) -> dict[str, Any]:
    """What a step does and keeps; where every step draws paths, the median of what `repeats` of them keep."""
    step = case.eager or case.step
    saved = [saved_bytes(step) for _ in range(repeats if case.draws else 1)]
    with kernels.disabled(), choosing(replace(chosen(), compiled=False)):  # which are no dispatched operations
        counts = moved(step)
    roofline = max(counts["flops"] / limits["flops_per_s"], counts["bytes"] / limits["bytes_per_s"]) * 1e3
    return {
        "roofline_ms": roofline,
        "gflop": counts["flops"] / 1e9,
        "gbyte_moved": counts["bytes"] / 1e9,
        "saved_bytes": int(statistics.median(saved)),
        "saved_bytes_min": min(saved),
        "saved_bytes_max": max(saved),
        "operations": counts["operations"],
    }


def describe(choices: CpuChoices) -> str:
    """What a CPU computed in which way, in one cell of the table."""
    native = " ".join("-".join(map(str, kind)) for kind in choices.native)
    loops = "; compiled loops" if choices.compiled else ""
    return f"{choices.memory_format}; backward passes left to torch (kernel-stride-dilation): {native or 'none'}{loops}"


def how_run(case: Case) -> str:
    """Whether the step was replayed as a CUDA graph."""
    step: Any = case.step
    if not isinstance(step.func, GraphedStep):
        return "no"
    return "yes" if step.func.recording is not None else "no: the step could not be recorded"


def _alternate(group: Sequence[Case], engine: Engine, repeats: int) -> list[Times]:
    """Of every case, times of ours, of the oracle and of ours without a graph; all in turn, so that a busy machine
    slows all."""
    times: list[Times] = [([], [], []) for _ in group]
    pairs = [
        (step, own)
        for case, lists in zip(group, times, strict=True)
        for step, own in zip((case.step, case.oracle, case.eager), lists, strict=True)
        if step
    ]
    for step, _ in pairs:
        step()
    for _ in range(repeats):
        for step, own in pairs:
            engine.synchronize()
            started = time.perf_counter()
            step()
            engine.synchronize()
            own.append((time.perf_counter() - started) * 1e3)
    return times


def _profile(step: Step, engine: Engine) -> dict[str, Any]:
    """Kernels of a step (on a GPU), and the share of its time by kind."""
    gpu = engine.device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it complains of GPUs where there are none
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as profiled:
        step()
        engine.synchronize()
    spent: dict[str, float] = {}
    count = 0
    for event in profiled.key_averages():
        own = event.self_device_time_total if gpu else event.self_cpu_time_total
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, event.key.lower())), "other")
        spent[kind] = spent.get(kind, 0.0) + own
        count += event.count if gpu and own > 0 else 0
    total = sum(spent.values()) or 1.0
    shares = {f"share {kind} %": round(100 * spent.get(kind, 0.0) / total, 1) for kind in [*KINDS, "other"]}
    return {"kernels": count or None, **shares}


def device_limits(engine: Engine) -> dict[str, float]:
    """Measured bandwidth (a large copy, read and written) and rate (a large matrix product, two for a multiply-add)."""
    gpu = engine.device.type == "cuda"
    source = torch.empty(2**28 if gpu else 2**24, device=engine.device)
    target = torch.empty_like(source)
    side = 8192 if gpu else 1024
    kind = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=engine.device).to(kind) for _ in range(2))
    copy = _best(lambda: target.copy_(source), engine)
    product = _best(lambda: left @ right, engine)
    return {"bytes_per_s": 2 * source.numel() * 4 / copy, "flops_per_s": 2 * side**3 / product}


def _best(work: Step, engine: Engine, repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        engine.synchronize()
        started = time.perf_counter()
        work()
        engine.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def file_name(engine: Engine) -> str:
    """Hardware, precision, threads and torch version, as a file's name."""
    words = [device_name(engine.device), engine.precision]
    words += [f"{torch.get_num_threads()}threads"] if engine.device.type == "cpu" else []
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join([*words, "torch", torch.__version__])).strip("-").lower() + ".csv"


def data_share(step_seconds: float, batch: int, engine: Engine) -> float:
    """Percent of a step's time that making its augmented batch takes, with crop, flip and cutout on 2,048 images."""
    from bench.data.augment import get_augmentation
    from bench.data.batches import Batches
    from bench.data.datasets import DatasetInfo

    info = DatasetInfo("speed", (0.5,) * 3, (0.25,) * 3, tuple("0123456789"), 32, padding=4, cutout=16)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2048, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(2048) % 10
    served = Batches(images, labels, batch, get_augmentation("crop-flip-cutout", info), 0, engine.device)

    def epoch() -> None:
        for _ in served.epoch(0):
            pass

    return 100 * _best(epoch, engine, 3) / len(served) / step_seconds
