"""What a step does, counted and not timed: operations, bytes, floating-point operations, kept memory.

On torch's meta device tensors have shapes and no values, so a step of any size can be counted anywhere, also by the
kernels that only a GPU can run. A step that reads a value fails there, so counting one shows that it reads none; copies
from the host and the optimiser's update are not covered by that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.device.engine import Engine
from bench.speed.cases import Case, Step, cases
from methods.parts.executors import kernels

META = Engine(torch.device("meta"))
_MOVES_NOTHING = re.compile(r"empty|_unsafe_view")
WITHOUT_VALUES = ("item() cannot be called on meta tensors", "Cannot copy out of meta tensor")
"""What torch says to who reads a value there."""


class Dispatched(TorchDispatchMode):
    """Operations that are dispatched, and the bytes they read and write; views and empty tensors left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and not _MOVES_NOTHING.search(func.name()):
            tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
            self.note(func.name(), tensors)
        return out

    def note(self, name: str, tensors: Sequence[Tensor]) -> None:
        """One more operation."""
        self.operations += 1
        self.bytes += sum(t.numel() * t.element_size() for t in tensors)


def moved(step: Step, dispatched: Dispatched | None = None) -> dict[str, int]:
    """Of one step: `flops` of convolutions and matrix products (two a multiply-add), `bytes`, `operations`."""
    mapping = {torch.ops.aten.convolution_backward: _convolution_backward}
    flops, dispatched = FlopCounterMode(display=False, custom_mapping=mapping), dispatched or Dispatched()
    with flops, dispatched:
        step()
    return {"flops": flops.get_total_flops(), "bytes": dispatched.bytes, "operations": dispatched.operations}


def _convolution_backward(
    grad: Any, images: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: Any,
    output_padding: Any, groups: Any, wanted: Any, out_shape: Any = None, **more: Any,
) -> int:  # fmt: skip
    """torch's own formula forgets the groups: every weight meets every position of the output once a gradient."""
    return int(2 * grad[0] * math.prod(grad[2:]) * math.prod(weight) * (wanted[0] + wanted[1]))


class Saved(saved_tensors_hooks):
    """Bytes kept for the backward pass, each storage once: `largest` over the forward passes of a step."""

    def __init__(self) -> None:
        self.storages: dict[int, int] = {}
        self.largest = 0
        super().__init__(self._keep, self._use)

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.storages[storage._cdata] = storage.nbytes()
        self.largest = max(self.largest, sum(self.storages.values()))
        return tensor

    def _use(self, tensor: Tensor) -> Tensor:
        self.storages.clear()
        return tensor


def saved_bytes(step: Step) -> int:
    """Of one step, see `Saved`."""
    saved = Saved()
    with saved:
        step()
    return saved.largest


# -- without a device


def count(names: list[str], size: str, oracle: bool = True) -> Iterator[dict[str, Any]]:
    """What the steps do on a GPU in float32, a row for every case and way of computing it.

    `by` is "textbook", "plain operations" (ours without own kernels) or "own kernels". A launch of an own kernel is one
    operation that moves each of its tensors once; an optimiser's update of a group of parameters counts as one, too.
    What reads a value, as some textbooks do and searches by single paths, cannot be counted: its row has no numbers.

    Raises:
        ConfigError: unknown name.
    """
    for case in _on_meta(cases(names, size, META, oracle)):
        what = {"case": case.name, "channels": case.channels, "cells": case.cells, "batch": case.batch}
        if case.oracle is not None:
            yield {**what, "by": "textbook", **(counted_without_waiting(case.oracle) or {})}
        with kernels.disabled():
            plain = counted_without_waiting(case.step)
        yield {**what, "by": "plain operations", **(plain or {})}
        if plain is None:
            continue
        own = _counted(case.step)
        if own["own_kernels"]:
            yield {**what, "by": "own kernels", **own, "gflop": plain["gflop"]}  # the same, which a launch hides


def _on_meta(built: Iterator[Case]) -> Iterator[Case]:
    """Cases whose networks are moved there with the parameters their optimisers know, not with new ones."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield from built
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def counted_without_waiting(step: Step) -> dict[str, Any] | None:
    """What a step does; None if it waits for a value, which the meta device does not have."""
    try:
        return _counted(step)
    except RuntimeError as error:
        if any(told in str(error) for told in WITHOUT_VALUES):
            return None
        raise


def _counted(step: Step) -> dict[str, Any]:
    with _as_on_a_gpu(Dispatched()):
        step()  # the first one finds no gradients to add to
    dispatched, saved = Dispatched(), Saved()
    with _as_on_a_gpu(dispatched) as launched, saved:
        counts = moved(step, dispatched)
    return {
        "operations": counts["operations"],
        "own_kernels": len(launched),
        "gbyte_moved": counts["bytes"] / 1e9,
        "gflop": counts["flops"] / 1e9,
        "saved_bytes": saved.largest,
    }


@contextmanager
def _as_on_a_gpu(dispatched: Dispatched) -> Iterator[list[str]]:
    """Own kernels and optimisers' updates are noted instead of done; what was launched is in the list."""
    launched: list[str] = []

    def launch(name: str, tensors: list[Tensor]) -> None:
        launched.append(name)
        dispatched.note(name, tensors)

    def update(optimizer: torch.optim.Optimizer, closure: Any = None) -> None:
        for group in optimizer.param_groups:
            members = [parameter for parameter in group["params"] if parameter.grad is not None]
            momenta = 2 if isinstance(optimizer, torch.optim.Adam) else int(group["momentum"] > 0)
            for parameter in members if momenta == 1 else ():  # a virtual step reads it
                optimizer.state[parameter].setdefault("momentum_buffer", torch.empty_like(parameter))
            if members:  # read: parameter, gradient, momenta; written: parameter, momenta
                dispatched.note("update", members * (3 + 2 * momenta))

    update.hooked = True  # type: ignore[attr-defined]  # or torch would wrap it for its profiler
    with ExitStack() as stack:
        stack.enter_context(kernels.noted(launch))
        for optimizer in (torch.optim.SGD, torch.optim.Adam):
            stack.enter_context(mock.patch.object(optimizer, "step", update))
        # The norm of all gradients is one operation on a GPU, and would be one for each parameter on this device.
        devices = "torch.utils._foreach_utils._get_foreach_kernels_supported_devices"
        stack.enter_context(mock.patch(devices, return_value=["cuda", "meta"]))
        yield launched
