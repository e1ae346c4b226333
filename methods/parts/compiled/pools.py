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
        y, seen = empty_like(x), rows(x)
        counts, ones = _counts(*x.shape[1:], seen.dtype)
        loops.box_sums(seen, x.shape[1], ones, counts, rows(y))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        out, left = empty_like(gradient), rows(gradient)
        counts, ones = _counts(*gradient.shape[1:], left.dtype)
        loops.box_sums(left, gradient.shape[1], counts, ones, rows(out))
        return out


@cache
def _counts(channels: int, height: int, width: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """(h, w * channels): of the window around each pixel, those inside the image; ones."""
    inside = np.outer(*(np.convolve(np.ones(size), np.ones(3))[1:-1] for size in (height, width)))
    counts = inside.repeat(channels, axis=1).astype(dtype)
    return counts, np.ones_like(counts)
