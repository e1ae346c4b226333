"""1x1 convolutions of a few channels an edge, which fill no vector of a processor in a library's kernels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.parts.compiled.layout import empty_like, flat, lanes, summed
from methods.parts.compiled.loops import pointwise as loops
from methods.parts.compiled.loops.compiling import Array, tile_pixels

MOST = 4
"""Channels an edge up to which the loops were seen to be faster than oneDNN (docs/speed.md)."""


def narrow_pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """As `methods.parts.convolution.pointwise`, with as many channels out as in."""
    return _Pointwise.apply(x, weight)


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = empty_like(x)
        loops.mix(flat(x), _by_distance(weight.detach().numpy()), flat(y))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        edges, channels, _ = weight.shape
        g, out = flat(gradient), None
        if ctx.needs_input_grad[0]:
            out = empty_like(x)
            loops.mix(g, _by_distance(weight.detach().transpose(1, 2).numpy()), flat(out))
        products = np.zeros((2 * channels - 1, tile_pixels(edges * channels) * edges * channels), g.dtype)
        loops.add_mixed_products(g, flat(x), products)
        by_distance = summed(products, edges * channels).reshape(-1, edges, channels)
        distances, into, of = _places(channels)
        of_weight = np.empty(tuple(weight.shape), g.dtype)
        of_weight[:, into, of] = by_distance[distances, :, into].T
        return out, torch.from_numpy(of_weight)


def _by_distance(weight: Array) -> Array:
    """(edges, channels out, channels in) -> (2 channels - 1, tile), as the loops read it."""
    edges, channels, _ = weight.shape
    distances, into, of = _places(channels)
    placed = np.zeros((2 * channels - 1, edges, channels), weight.dtype)
    placed[distances, :, into] = weight[:, into, of].T
    return lanes(placed.reshape(-1, edges * channels))


@cache
def _places(channels: int) -> tuple[Array, Array, Array]:
    """For every pair of channels: the distance's place, the channel that is written, the one that is seen."""
    into, of = (each.reshape(-1) for each in np.indices((channels, channels)))
    return of - into + channels - 1, into, of
