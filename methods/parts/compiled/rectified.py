"""ReLU together with what stands before it: a normalisation, or the repetition of a state for its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.parts.compiled.layout import empty_like, flat, lanes, new, summed
from methods.parts.compiled.loops import rectified as loops
from methods.parts.compiled.loops.compiling import tile_pixels
from methods.parts.compiled.statistics import batch_statistics


def norm_relu(norm: nn.BatchNorm2d, z: Tensor) -> Tensor:
    """`norm(z).relu()` of a normalisation without scale and shift, in training; (batch, channels, h, w)."""
    return _NormRelu.apply(z, norm)


def relu_repeat(x: Tensor, edges: int) -> Tensor:
    """(batch, channels, h, w) -> (batch, edges * channels, h, w): rectified, once for every edge."""
    return _ReluRepeat.apply(x, edges)


class _NormRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        seen = flat(z)
        mean, inverse = batch_statistics(norm, seen)
        y = empty_like(z)
        loops.scale_relu(seen, lanes(inverse), lanes(-inverse * mean), flat(y))
        ctx.save_for_backward(z, y)
        ctx.statistics = mean, inverse
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        z, y = ctx.saved_tensors
        mean, inverse = ctx.statistics
        channels, g, seen, opened = z.shape[1], flat(gradient), flat(z), flat(y)
        pixels = g.size // channels
        sums, products = np.zeros((2, tile_pixels(channels) * channels), g.dtype)
        loops.add_gated_sums(g, seen, opened, lanes(mean), sums, products)
        by_z = -(inverse**3) * summed(products, channels) / pixels
        shift = -inverse * summed(sums, channels) / pixels - by_z * mean
        out = empty_like(z)
        loops.combine_gated(g, seen, opened, lanes(inverse), lanes(by_z), lanes(shift), flat(out))
        return out, None


class _ReluRepeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: int) -> Tensor:
        y = new(x, edges * x.shape[1])
        loops.repeat_relu(x.shape[1], edges, flat(x), flat(y))
        ctx.save_for_backward(x)
        ctx.edges = edges
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        out = empty_like(x)
        loops.sum_over_edges(x.shape[1], ctx.edges, flat(gradient), flat(x), flat(out))
        return out, None
