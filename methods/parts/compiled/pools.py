"""3x3 pools with stride 1, of which only pixels inside the image count."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.parts.compiled.layout import empty_like, rows
from methods.parts.compiled.loops import pools as loops
from methods.parts.compiled.loops.compiling import Array


def max_pool_3x3(x: Tensor) -> Tensor:
    """(batch, channels, h, w) -> the same; where largest numbers stand is kept in a byte each."""
    return _MaxPool.apply(x)


def average_pool_3x3(x: Tensor) -> Tensor:
    """(batch, channels, h, w) -> the same."""
    return _AveragePool.apply(x)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, seen = empty_like(x), rows(x)
        places = np.empty(seen.shape, np.int8)
        loops.max_pool(seen, x.shape[1], rows(y), places)
        ctx.save_for_backward(torch.from_numpy(places))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (places,) = ctx.saved_tensors
        out = empty_like(gradient).zero_()
        loops.spread_to_largest(rows(gradient), places.numpy(), gradient.shape[1], rows(out))
        return out


class _AveragePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        counts, ones = _counts(*x.shape[1:], x.dtype)
        return _boxes(x, ones, counts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        counts, ones = _counts(*gradient.shape[1:], gradient.dtype)
        return _boxes(gradient, counts, ones)


def _boxes(x: Tensor, before: Array, after: Array) -> Tensor:
    y = empty_like(x)
    loops.box_sums(rows(x), x.shape[1], before, after, rows(y))
    return y


@cache
def _counts(channels: int, height: int, width: int, dtype: torch.dtype) -> tuple[Array, Array]:
    """(h, w * channels): of the window around each pixel, those inside the image; ones."""
    inside = np.outer(*(np.convolve(np.ones(size), np.ones(3))[1:-1] for size in (height, width)))
    counts = torch.from_numpy(inside.repeat(channels, axis=1)).to(dtype).numpy()
    return counts, np.ones_like(counts)
