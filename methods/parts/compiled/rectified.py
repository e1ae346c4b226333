"""ReLU together with what stands before it: a normalisation, or the repetition of a state for its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.parts.compiled import loops
from methods.parts.compiled.layout import empty_like, flat, indices, lanes, new
from methods.parts.compiled.loops import PIXELS
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
        mean, inverse = batch_statistics(norm, z)
        y = empty_like(z)
        loops.scale_relu(flat(z), lanes(inverse), lanes(-inverse * mean), flat(y))
        ctx.save_for_backward(z, y, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        z, y, mean, inverse = ctx.saved_tensors
        channels, g, seen, opened = z.shape[1], flat(gradient), flat(z), flat(y)
        pixels = g.size // channels
        sums, products = np.zeros((2, PIXELS * channels), g.dtype)
        loops.add_gated_sums(g, seen, opened, lanes(mean), sums, products)
        total, product = (
            torch.from_numpy(each).view(PIXELS, channels).sum(dim=0, dtype=mean.dtype) for each in (sums, products)
        )
        by_z = -(inverse**3) * product / pixels
        shift = -inverse * total / pixels - by_z * mean
        out = empty_like(z)
        loops.combine_gated(g, seen, opened, lanes(inverse), lanes(by_z), lanes(shift), flat(out))
        return out, None


class _ReluRepeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: int) -> Tensor:
        y = new(x, edges * x.shape[1])
        loops.repeat_relu(flat(x), indices(x.shape[1], edges)[0], flat(y))
        ctx.save_for_backward(x)
        ctx.edges = edges
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        channels, edges = x.shape[1], ctx.edges
        out = empty_like(x)
        loops.sum_over_edges(
            flat(gradient), indices(channels, edges)[1], channels, edges, np.ones(edges, flat(x).dtype), flat(out)
        )
        return out.mul_(x > 0), None
