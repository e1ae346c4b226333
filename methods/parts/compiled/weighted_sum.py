"""`methods.parts.executors.weighted_sum` by compiled loops: nothing is kept but what came in, one pass a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from methods.parts.compiled import loops
from methods.parts.compiled.layout import empty_like, flat, indices, lanes, new, repeated, summed
from methods.parts.compiled.statistics import batch_statistics


def compiled_weighted_sum(
    weights: Tensor, candidates: Sequence[Tensor], norms: Sequence[nn.BatchNorm2d], shared: Sequence[Tensor]
) -> Tensor:
    """As `weighted_sum`, of norms in training."""
    return _CompiledWeightedSum.apply(weights, list(norms), *candidates, *shared)


class _CompiledWeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, norms: list[nn.BatchNorm2d], *values: Tensor) -> Tensor:
        edges, count = len(weights), len(norms)
        channels = values[-1].shape[1]
        by_channel = weights.repeat_interleave(channels, dim=0)
        y = new(values[-1], edges * channels, filled=True)
        statistics: list[Tensor] = []
        for k, (norm, value) in enumerate(zip(norms, values, strict=False)):
            mean, inverse = batch_statistics(norm, value)
            factor = by_channel[:, k] * inverse
            loops.add_scaled(flat(value), lanes(factor), lanes(-factor * mean), flat(y))
            statistics += [mean, inverse]
        index, _ = indices(channels, edges)
        for k, value in enumerate(values[count:], start=count):
            loops.add_repeated(flat(value), index, lanes(by_channel[:, k]), flat(y))
        ctx.save_for_backward(weights, *statistics, *values)
        ctx.count = count
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *saved = ctx.saved_tensors
        count, edges = ctx.count, len(weights)
        statistics, values = saved[: 2 * count], saved[2 * count :]
        channels = values[-1].shape[1]
        by_channel = weights.repeat_interleave(channels, dim=0)
        g = flat(gradient)
        pixels = g.size // gradient.shape[1]
        mean_gradient = summed(loops.add_sums, gradient.shape[1], weights.dtype, g) / pixels if count else None
        weight_gradients, gradients = [], list[Tensor | None]()
        for k in range(count):
            mean, inverse = statistics[2 * k : 2 * k + 2]
            z = flat(values[k])
            dot = summed(loops.add_products, len(mean), weights.dtype, g, z, lanes(mean)) * inverse
            weight_gradients.append(dot)
            if not ctx.needs_input_grad[2 + k]:
                gradients.append(None)
                continue
            factor = by_channel[:, k] * inverse
            by_z = -factor * inverse * dot / pixels
            out = empty_like(values[k])
            assert mean_gradient is not None
            shift = -factor * mean_gradient - by_z * mean
            loops.combine(g, z, lanes(factor), lanes(by_z), lanes(shift), flat(out))
            gradients.append(out)
        index, first = indices(channels, edges)
        for k, value in enumerate(values[count:], start=count):
            dot = summed(loops.add_repeated_products, edges * channels, weights.dtype, g, flat(value), index)
            weight_gradients.append(dot)
            out = empty_like(value)
            loops.sum_over_edges(g, first, channels, edges, repeated(weights[:, k]), flat(out))
            gradients.append(out)
        per_edge = torch.stack(weight_gradients, dim=1).view(edges, channels, len(weight_gradients)).sum(dim=1)
        return per_edge, None, *gradients
