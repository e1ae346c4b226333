"""Batch normalisation, weighting by the gates and summing over the candidates, as one function.

With `zhat_k = (z_k - mean_k) / std_k` over (batch, h, w), the output of edge e is

    y_e = sum_k w[e, k] zhat_k,e + sum_s w[e, s] x_s

and for the gradient G of y, with N = batch * h * w and all sums over (batch, h, w),

    dL/dw[e, k] = sum_c sum G_e zhat_k,e        dL/dz_k = w / std_k (G - sum G / N - zhat_k sum(G zhat_k) / N)

(Ioffe and Szegedy, ICML 2015, section 3, without scale and shift). Written out, neither the normalised nor the weighted
candidates are stored, and `sum G` is shared by all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.parts import compiled
from methods.parts.convolution import in_memory_format

_PIXELS = (0, 2, 3)


def weighted_sum(
    weights: Tensor, candidates: Sequence[Tensor], norms: Sequence[nn.BatchNorm2d],
    shared: Sequence[Tensor], shared_norms: Sequence[nn.BatchNorm2d | None] = (), arrived: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The weighted sum of normalised candidates, and of tensors that are the same for every edge.

    Args:
        weights: (edges, candidates + shared).
        candidates: each (batch, edges * channels, h, w), before its batch normalisation.
        norms: one without scale and shift for each candidate; running statistics are updated as in its `forward`.
        shared: each (batch, channels, h, w).
        shared_norms: those of the first shared tensors, which are given before it; None for one that has none.
        arrived: to be added, as the result.

    Returns:
        (batch, edges * channels, h, w).
    """
    of_shared = [*shared_norms, *[None] * (len(shared) - len(shared_norms))]
    if compiled.usable(shared[-1], [*norms, *(norm for norm in of_shared if norm is not None)]):
        from methods.parts.compiled.weighted_sum import compiled_weighted_sum, fits

        if fits(len(candidates), len(shared)):
            return compiled_weighted_sum(weights, candidates, norms, shared, of_shared, arrived)
    normalised = [x if norm is None else norm(x) for x, norm in zip(shared, of_shared, strict=True)]
    sent = _WeightedSum.apply(weights, list(norms), *candidates, *normalised)
    return sent if arrived is None else arrived + sent


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, norms: list[nn.BatchNorm2d], *values: Tensor) -> Tensor:
        edges, channels = len(weights), values[-1].shape[1]
        by_channel = weights.repeat_interleave(channels, dim=0)
        y = _repeat(values[-1], edges) * _channels(by_channel[:, -1], values[-1])
        saved, inverse = [], []
        for k, value in enumerate(values[:-1]):
            scale = by_channel[:, k]
            if k < len(norms):
                value, inverse_std = _normalise(norms[k], value)
                scale = scale * inverse_std
                inverse.append(inverse_std)
                saved.append(value)
            else:
                saved.append(value)
                value = _repeat(value, edges)
            y.addcmul_(value, _channels(scale, value))
        ctx.save_for_backward(weights, *inverse, *saved, values[-1])
        ctx.batch_statistics = [norm.training for norm in norms]
        ctx.average = _average_of(norms)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *saved = ctx.saved_tensors
        count, edges = len(ctx.batch_statistics), len(weights)
        inverse, candidates, shared = saved[:count], saved[count : 2 * count], saved[2 * count :]
        by_channel = weights.repeat_interleave(shared[0].shape[1], dim=0)
        gradient = in_memory_format(gradient)
        pixels = gradient.numel() // gradient.shape[1]
        without_mean = gradient - _channels(ctx.average(gradient.mean(_PIXELS, dtype=weights.dtype)), gradient)
        weight_gradients, gradients = [], []
        for k, (centred, inverse_std) in enumerate(zip(candidates, inverse, strict=True)):
            z = gradient * centred
            dot = z.sum(_PIXELS, dtype=weights.dtype) * inverse_std
            weight_gradients.append(dot)
            scale = by_channel[:, k] * inverse_std
            if ctx.batch_statistics[k]:
                torch.mul(without_mean, _channels(scale, centred), out=z)
                z.addcmul_(centred, _channels(-scale * inverse_std * ctx.average(dot / pixels), centred))
            else:
                torch.mul(gradient, _channels(scale, centred), out=z)
            gradients.append(z)
        for k, value in enumerate(shared, start=count):
            weight_gradients.append((gradient * _repeat(value, edges)).sum(_PIXELS, dtype=weights.dtype))
            weighted = gradient * _channels(by_channel[:, k], gradient)
            gradients.append(reduce(torch.add, weighted.chunk(edges, dim=1)))
        per_edge = torch.stack(weight_gradients, dim=1).view(edges, -1, len(weight_gradients)).sum(dim=1)
        return per_edge, None, *gradients


def _normalise(norm: nn.BatchNorm2d, z: Tensor) -> tuple[Tensor, Tensor]:
    """`z` without its mean, and one over its standard deviation; updates the running statistics as `norm` would."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    if not norm.training:
        return z - _channels(norm.running_mean, z), (norm.running_var + norm.eps).rsqrt()
    dtype = norm.running_mean.dtype
    average = _average_of([norm])
    mean = average(z.mean(_PIXELS, dtype=dtype))
    centred = z - _channels(mean, z)
    variance = average((centred * centred).mean(_PIXELS, dtype=dtype))
    if norm.track_running_stats:
        pixels = z.numel() // z.shape[1] * getattr(norm, "processes", 1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (pixels / (pixels - 1)), norm.momentum)
    return centred, (variance + norm.eps).rsqrt()


def _average_of(norms: Sequence[nn.BatchNorm2d]) -> Callable[[Tensor], Tensor]:
    """How statistics of a batch that several processes share become the whole batch's: such norms bring `average`."""
    for norm in norms:
        if hasattr(norm, "average"):
            return cast(Callable[[Tensor], Tensor], norm.average)
    return lambda value: value


def _repeat(x: Tensor, edges: int) -> Tensor:
    return torch.cat([x] * edges, dim=1)


def _channels(vector: Tensor, like: Tensor) -> Tensor:
    return vector.to(like.dtype).view(-1, 1, 1)
