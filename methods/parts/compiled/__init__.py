"""Loops compiled for the CPU (Numba), each pass of which reads an activation from memory once.

torch's own sums over the pixels of a channel, and products with a number for each channel, are slow in channels-last
memory where channels are few, which is what a supernet's small cells have. The plain functions are the reference, and
what runs in every other case: a GPU, evaluation, several processes, bfloat16, contiguous memory, no Numba.

    weighted_sum    normalisation, weighting by gates and sum over candidates, forward and backward
    rectified       normalisation and ReLU between the halves of a separable convolution; a rectified state, repeated
    pools           3x3 pools with stride 1
    pointwise       1x1 convolutions of a few channels an edge
    depthwise       the weight gradient of depthwise convolutions with stride 1

The mathematics is that of the plain functions; the order of sums differs, and is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from methods.parts.cpu_choices import chosen

DTYPES = (torch.float32, torch.float64)


@cache
def why_not() -> str | None:
    """Why there are no compiled loops here; None where there are."""
    return None if find_spec("numba") is not None else "numba is not installed"


@cache
def load() -> None:
    """Have the loops in this process, from what Numba keeps on disk or compiled now (some seconds, once a machine).

    What is kept and cannot be read is removed and compiled anew. Later calls do nothing.
    """
    from methods.parts.compiled.loops import compiling, depthwise, moments, pointwise, pools, rectified, sums  # noqa: F401

    try:
        compiling.call_each()
    except Exception:  # whatever a damaged file makes of unpickling it
        compiling.forget()
        compiling.call_each()


def usable(x: Tensor, norms: Iterable[nn.Module] = ()) -> bool:
    """Whether the loops compute on tensors like `x`: where `CpuChoices.compiled` says so, in training, by one process.

    Never where operations are traced, to be counted.

    Raises:
        ModuleNotFoundError: they were chosen, and Numba is not there.
    """
    if not chosen().compiled or x.device.type != "cpu" or x.dtype not in DTYPES or torch.jit.is_tracing():
        return False
    load()
    return all(type(norm) is nn.BatchNorm2d and norm.training for norm in norms)
