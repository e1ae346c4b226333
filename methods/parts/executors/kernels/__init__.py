"""Triton kernels for GPUs, each pass of which reads an activation from memory once.

The plain functions beside them are the reference, and all that a CPU uses.

    statistics      mean and standard deviation of a batch, channel by channel
    weighted_sum    normalisation, weighting by gates and sum over candidates, forward and backward
    depthwise       ReLU (after a normalisation, or not) and depthwise convolution of several edges that share a state

All tensors are (batch, channels, h, w), contiguous, in float32, bfloat16 or float64. Sums are taken in float32
(float64 for float64) in a fixed order, in two stages and without atomics: the same bits every time. The mathematics is
that of the plain functions; the order of sums differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = (torch.float32, torch.bfloat16, torch.float64)
LARGEST = 2**31
"""Offsets are 32-bit numbers."""

NAMES = ("relu_depthwise", "norm_relu_depthwise", "weighted_sum")
"""What the kernels compute, and what `methods.parts.executors.kernels.proof` compares."""


@cache
def why_not() -> str | None:
    """Why the kernels cannot be used here; None where they can."""
    if not torch.cuda.is_available():
        return "no GPU"
    if not _has_triton():
        return "triton is not installed"
    if torch.cuda.get_device_capability() < (7, 0):
        return "the GPU is older than Triton supports"
    return None


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


_disabled = 0


@contextmanager
def disabled() -> Iterator[None]:
    """The plain functions, also where the kernels could be used: to compare with, or to count operations."""
    global _disabled
    _disabled += 1
    try:
        yield
    finally:
        _disabled -= 1


_refused: frozenset[str] = frozenset()


def refuse(names: Iterable[str]) -> None:
    """From now on the plain functions stand in for these kernels, and for no others."""
    global _refused
    _refused = frozenset(names)


Note = Callable[[str, list[Tensor]], None]
_note: Note | None = None


@contextmanager
def noted(note: Note) -> Iterator[None]:
    """For tensors of the meta device: launches are told to `note`, as the kernel's name and its tensors, not done."""
    global _note
    before, _note = _note, note
    try:
        yield
    finally:
        _note = before


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Start a kernel. Multiply-adds are fused, whatever this version of Triton would do by itself."""
    if _note is None:
        kernel[grid](*arguments, **constants, enable_fp_fusion=True)
    else:
        tensors = {id(value): value for value in arguments if isinstance(value, Tensor)}
        _note(kernel.fn.__name__, list(tensors.values()))


def usable(x: Tensor, norms: Iterable[nn.Module], edges: int, names: Iterable[str] = NAMES) -> bool:
    """Whether the kernels called `names` compute what leaves the state `x` on so many edges.

    They do on a GPU, in training, by the statistics of one process's batch, unless one of them is refused.
    """
    if _disabled or not _refused.isdisjoint(names) or x.dtype not in DTYPES or x.numel() * edges >= LARGEST:
        return False
    there = why_not() is None if x.is_cuda else _note is not None and x.is_meta and _has_triton()
    return there and all(type(norm) is nn.BatchNorm2d and norm.training for norm in norms)
