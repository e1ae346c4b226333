"""Tiny supernets and searches for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from methods.base import SearchContext
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import Plan
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.search import MGAS
from methods.gradient.mgas.supernet import Supernet
from methods.gradient.mgas.switches import FIXED, OFFICIAL, Switches

TINY = SearchContext(num_classes=4, in_channels=1, image_size=8)


def tiny_net(
    channels: int = 4, cells: int = 3, switches: Switches = FIXED, context: SearchContext = TINY, **how: Any
) -> CellSupernet:
    torch.manual_seed(0)
    return CellSupernet(Plan(channels, cells), context, switches, Discretisation(guard=switches.guard, **how))


def official_net(**how: Any) -> CellSupernet:
    return tiny_net(switches=OFFICIAL, **how)


@torch.no_grad()
def scatter_parameters(net: Supernet, seed: int = 1, committed: bool = True) -> None:
    """Random gates, thresholds, normalisations and masks, so that units are on, off and removed at all levels."""
    generator = torch.Generator().manual_seed(seed)

    def rand(tensor: Tensor) -> Tensor:
        return torch.rand(tensor.shape, generator=generator)

    for cell in net.executed(2):
        cell.alpha.copy_(4 * rand(cell.alpha) - 2)
        for norm in cell.filters.norms:
            norm.kappa.copy_(4 * rand(norm.kappa) - 2)
            norm.weight.copy_(0.5 + rand(norm.weight))
            norm.bias.copy_(rand(norm.bias) - 0.5)
            if committed:
                norm.mask.copy_(rand(norm.mask) > 0.2)
        if committed:
            for conv in cell.weights.convs:
                conv.mask.copy_(rand(conv.mask) > 0.1)
        cell.t_operation.copy_(rand(cell.t_operation))
        cell.t_filter.copy_(0.7 * rand(cell.t_filter))
        for name in cell.structure.input_thresholds:
            getattr(cell, name).copy_(0.5 * rand(getattr(cell, name)))
        cell.t_weight.copy_(0.1 * rand(cell.t_weight))
        cell.rebuild()


@torch.no_grad()
def remove_at_random(net: CellSupernet, share: float, seed: int = 2) -> None:
    """Remove a share of the operations for good; every node keeps its first."""
    from methods.gradient.mgas.cells.topology import ALL_SLOTS

    generator = torch.Generator().manual_seed(seed)
    firsts = {(0, 0), (2, 0), (5, 0), (9, 0)}
    for cell in net.executed(2):
        chosen = torch.rand(len(ALL_SLOTS), generator=generator) < share
        cell.commit_operations(
            [s for s, gone in zip(ALL_SLOTS, chosen.tolist(), strict=True) if gone and s not in firsts]
        )


def images(count: int = 4, context: SearchContext = TINY, seed: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, context.in_channels, context.image_size, context.image_size, generator=generator)
    return x, torch.randint(0, context.num_classes, (count,), generator=generator)


def saved_bytes(net: Supernet, stage: int) -> int:
    """Bytes that the forward pass keeps for the backward pass."""
    net.stage, total, seen = stage, 0, set()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        key = tensor.untyped_storage().data_ptr()
        if key not in seen:
            seen.add(key)
            total += tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = net(images(16)[0])
    del kept
    return total


def quick_options(**changes: Any) -> MGASOptions:
    """A search of four phases in a few dozen steps: thresholds hurry so that every mechanism is reached."""
    settings: dict[str, Any] = {
        "channels": 4,
        "cells": 3,
        "batch_size": 8,
        "targets": (18_000.0, 12_000.0),
        "warmup_epochs": (1,),
        "commit_interval": 1,
        "phase_epochs": (5, 5, 5, 9),
        "max_epochs": 24,
        "stage_ratios": (0.6,),
        "threshold_pace": 40.0,
        "lambda_delta": 5e-3,
        "weight_lr": 0.05,
    }
    return MGASOptions(**{**settings, **changes})


def learnable(count: int = 16, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Images of four classes with different means of their quadrants."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 4
    x = 0.3 * torch.randn(count, 1, 8, 8, generator=generator)
    for n, label in enumerate(y.tolist()):
        x[n, 0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 1.5
    return x, y


def run_epochs(search: MGAS, first: int, last: int, steps: int = 2) -> list[dict[str, Any]]:
    """Train epochs [first, last) on `learnable` data, as the harness does; returns each epoch's values."""
    x, y = learnable(steps * search.batch_size)

    def evaluate() -> dict[str, float]:
        search.supernet.eval()
        with torch.no_grad():
            accuracy = 100.0 * (search.supernet(x).argmax(1) == y).float().mean().item()
        search.supernet.train()
        return {"loss": 0.0, "accuracy": accuracy}

    values = []
    for epoch in range(first, last):
        if search.finished:
            break
        search.on_epoch_start(epoch)
        search.supernet.train()
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(search.batch_size):
            search.step((x[batch], y[batch]))
        values.append(search.on_epoch_end(epoch, evaluate))
    return values


class NoWaiting(TorchDispatchMode):
    """No operation whose output size depends on values, and none that reads one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        forbidden = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "repeat_interleave")
        assert not any(word in str(func) for word in forbidden), func
        return func(*args, **(kwargs or {}))


@contextmanager
def the_host_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reading a value, or an operation whose output size depends on values, makes the host wait for a device."""

    def waits(*_: Any, **__: Any) -> None:
        raise AssertionError("the host asked for a value")

    with monkeypatch.context() as patch, NoWaiting():
        for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__"):
            patch.setattr(torch.Tensor, name, waits)
        yield
