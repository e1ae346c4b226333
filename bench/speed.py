"""How long a step takes, what it spends its time on, and what stands between it and the device's limits.

A *case* is one kind of step (a search, or a retraining) at one size. For each: the step's time, kernels, bytes and
operations; beside it the per-edge textbook implementation where the checkout has one (tests/oracles), timed
alternately with ours in the same process; and the roofline: the longer of operations over the device's measured rate
and bytes over its measured bandwidth, for the operations as they are dispatched.
"""

from __future__ import annotations

import importlib
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.config import ConfigError, nearest
from bench.engine import Engine, device_name
from bench.graph import WARM_UP, GraphedStep
from bench.recipe import Recipe
from bench.train import make_optimizer
from methods.base import GradientSearch, SearchContext
from methods.genotypes import published
from methods.parts import kernels
from methods.registry import get_method
from methods.spaces import NetworkSettings, build

Step = Callable[[], Any]
SIZES = {  # channels, cells, batch of a search; channels, cells, batch of a retraining
    "small": {"darts": (8, 5, 32), "pc_darts": (8, 5, 32), "mgas": (8, 5, 32), "retrain": (8, 5, 64)},
    "published": {"darts": (16, 8, 64), "pc_darts": (16, 8, 256), "mgas": (16, 8, 96), "retrain": (36, 20, 96)},
}
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


@dataclass(frozen=True)
class Case:
    """One step to measure: `images` go through it (training and validation batches both counted).

    `step` is run as the loops run it; where that is a CUDA graph, `eager` is the same step kernel by kernel.
    """

    name: str
    channels: int
    cells: int
    batch: int
    images: int
    step: Step
    oracle: Step | None = None
    eager: Step | None = None


def cases(names: list[str], size: str, engine: Engine, oracle: bool) -> Iterator[Case]:
    """The cases by name ("darts", "darts-2nd", "pc_darts", "mgas", "retrain"), built one after the other.

    Raises:
        ConfigError: unknown name.
    """
    known = ("darts", "darts-2nd", "pc_darts", "mgas", "retrain")
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown case '{name}'" + nearest(name, known))
        channels, cells, batch = SIZES[size][name.removesuffix("-2nd")]
        torch.manual_seed(0)
        if name == "retrain":
            update, inputs = _training_step(channels, cells, batch, engine)
            step, eager = _as_the_loops_do(update, inputs, engine)
            yield Case(name, channels, cells, batch, batch, step, None, eager)
            _forget(step)
            continue
        method = _search(name, channels, cells, batch, engine)
        train, valid = _batch(batch, engine), _batch(batch, engine)
        paired = method.split.paired
        second = valid if paired else None

        def update(train_batch: Any, valid_batch: Any, method: GradientSearch = method) -> Any:
            with engine.autocast():
                return method.step(train_batch, valid_batch)

        step, eager = _as_the_loops_do(update, (train, second), engine)
        share = {"darts": 1, "pc_darts": 4}.get(name)
        textbook = _oracle(channels, cells, share, train, valid, engine) if oracle and share else None
        yield Case(name, channels, cells, batch, batch * (2 if paired else 1), step, textbook, eager)
        _forget(step)


def _as_the_loops_do(update: Callable[..., Any], inputs: tuple[Any, ...], engine: Engine) -> tuple[Step, Step | None]:
    """The step as `bench.search` and `bench.train` run it, and eagerly where that is not the same."""
    recorder = engine.recorder
    if recorder is None:
        return partial(update, *inputs), None
    return partial(engine.graphed(update), *inputs), partial(recorder.eager, partial(update, *inputs))


def _forget(step: Any) -> None:
    """Give back what a recording holds, before the next case is measured."""
    if isinstance(step.func, GraphedStep):
        step.func.renew()


def _search(name: str, channels: int, cells: int, batch: int, engine: Engine) -> GradientSearch:
    cls = get_method(name.removesuffix("-2nd"))
    options: dict[str, Any] = {"channels": channels, "cells": cells, "batch_size": batch}
    options |= {"unrolled": True} if name == "darts-2nd" else {}
    options |= {"arch_start_epoch": 0} if name == "pc_darts" else {}
    method = cls(cls.Options(**options), SearchContext(num_classes=10))  # type: ignore[call-arg]
    assert isinstance(method, GradientSearch)
    method.to(engine.device)
    method.on_epoch_start(0)
    method.supernet.train()
    return method


def _training_step(channels: int, cells: int, batch: int, engine: Engine) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    network = build(published("DARTS_V2"), 10, NetworkSettings(channels, cells, auxiliary=True)).to(engine.device)
    network.to(memory_format=engine.memory_format).train()
    network.set_drop_path(0.1)  # type: ignore[operator]
    optimizer = make_optimizer(network, Recipe("speed", epochs=1, batch_size=batch, lr=0.025))

    def update(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with engine.autocast():
            logits, auxiliary = network(images.contiguous(memory_format=engine.memory_format))
            loss = F.cross_entropy(logits, labels) + 0.4 * F.cross_entropy(auxiliary, labels)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        return {"loss_sum": loss.detach()}

    return update, _batch(batch, engine)


def _oracle(channels: int, cells: int, share: int, train: Any, valid: Any, engine: Engine) -> Step | None:
    """The textbook search step: per edge and candidate one module, one architecture and one weight update."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    try:
        textbook = importlib.import_module("tests.oracles.cell_supernet")
    except ImportError:
        return None
    finally:
        sys.path.pop(0)
    network = textbook.Supernet(10, channels, cells, share).to(engine.device).train()
    alphas = {kind: (torch.randn(14, 8) * 1e-3).to(engine.device).requires_grad_() for kind in ("normal", "reduce")}
    edges = torch.ones(14, device=engine.device)
    weights = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    architecture = torch.optim.Adam(alphas.values(), 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(batch: Any) -> Tensor:
        gates = {kind: (alpha.softmax(1), edges) for kind, alpha in alphas.items()}
        return F.cross_entropy(network(batch[0], gates), batch[1])

    def step() -> None:
        architecture.zero_grad()
        with engine.autocast():
            value = loss(valid)
        value.backward()
        architecture.step()
        weights.zero_grad()
        with engine.autocast():
            value = loss(train)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        weights.step()

    return step


def _batch(batch: int, engine: Engine) -> tuple[Tensor, Tensor]:
    images = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return images.to(engine.device), (torch.arange(batch) % 10).to(engine.device)


# -- measuring


def measure(case: Case, engine: Engine, repeats: int, limits: dict[str, float]) -> dict[str, Any]:
    """One row of the table: times in milliseconds, memory in bytes, shares in percent of the profiled time."""
    gpu = engine.device.type == "cuda"
    engine.reset_peak_memory()
    for _ in range(WARM_UP + 2 if case.eager else 1):
        case.step()
    engine.synchronize()
    peak = engine.peak_memory() if gpu else None
    reserved = torch.cuda.memory_reserved(engine.device) if gpu else None
    times, oracle_times, eager_times = _alternate(case, engine, repeats)
    saved = _saved_bytes(case.eager or case.step)
    with kernels.disabled():  # which are no dispatched operations
        moved = _moved(case.eager or case.step)
    roofline = max(moved["flops"] / limits["flops_per_s"], moved["bytes"] / limits["bytes_per_s"]) * 1e3
    step = statistics.median(times)
    oracle = statistics.median(oracle_times) if oracle_times else None
    return {
        "case": case.name,
        "channels": case.channels,
        "cells": case.cells,
        "batch": case.batch,
        "precision": engine.precision,
        "device": device_name(engine.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "n": len(times),
        "step_ms": step,
        "step_ms_min": min(times),
        "step_ms_max": max(times),
        "images_per_s": case.images / step * 1e3,
        "data_share_percent": data_share(step / 1e3, case.images, engine),
        "eager_ms": statistics.median(eager_times) if eager_times else None,
        "oracle_ms": oracle,
        "speedup": oracle / step if oracle else None,
        "roofline_ms": roofline,
        "gflop": moved["flops"] / 1e9,
        "gbyte_moved": moved["bytes"] / 1e9,
        "saved_bytes": saved,
        "peak_memory": peak,
        "reserved_memory": reserved,
        "graph": how_run(case),
        "own_kernels": kernels.why_not() or "yes",
        "operations": moved["operations"],
        **_profile(case.step, engine),
    }


def how_run(case: Case) -> str:
    """Whether the step was replayed as a CUDA graph."""
    step: Any = case.step
    if not isinstance(step.func, GraphedStep):
        return "no"
    return "yes" if step.func.recording is not None else "no: the step could not be recorded"


def _alternate(case: Case, engine: Engine, repeats: int) -> tuple[list[float], list[float], list[float]]:
    """Times of ours, of the oracle and of ours without a graph in turn, so that a busy machine slows all."""
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    pairs = [(step, own) for step, own in zip((case.step, case.oracle, case.eager), times, strict=True) if step]
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


class _Moved(TorchDispatchMode):
    """Bytes that the dispatched operations read and write, views left out; and how many operations there are."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
            self.operations += 1
        return out


def _convolution_backward(
    grad: Any, images: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: Any,
    output_padding: Any, groups: Any, wanted: Any, out_shape: Any = None, **more: Any,
) -> int:  # fmt: skip
    """torch's own formula forgets the groups: every weight meets every position of the output once a gradient."""
    return int(2 * grad[0] * math.prod(grad[2:]) * math.prod(weight) * (wanted[0] + wanted[1]))


def _moved(step: Step) -> dict[str, float]:
    mapping = {torch.ops.aten.convolution_backward: _convolution_backward}
    flops = FlopCounterMode(display=False, custom_mapping=mapping)
    with flops, _Moved() as moved:
        step()
    return {"flops": float(flops.get_total_flops()), "bytes": float(moved.bytes), "operations": moved.operations}


def _saved_bytes(step: Step) -> int:
    """Bytes kept for the backward pass, each storage once: the largest over the forward passes of a step."""
    storages: dict[int, int] = {}
    largest = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal largest
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        largest = max(largest, sum(storages.values()))
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        storages.clear()
        return tensor

    with saved_tensors_hooks(pack, unpack):
        step()
    return largest


def _profile(step: Step, engine: Engine) -> dict[str, Any]:
    """Kernels of a step (on a GPU), and the share of its time by kind."""
    gpu = engine.device.type == "cuda"
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
