"""`methods.parts.executors.weighted_sum` by compiled loops: what came in is kept, and read once for each purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.parts.compiled.layout import empty_like, flat, lanes, new, stepped, summed
from methods.parts.compiled.loops import sums as loops
from methods.parts.compiled.loops.compiling import CANDIDATES, SHARED, Array, tile_pixels
from methods.parts.compiled.statistics import batch_statistics


def fits(candidates: int, shared: int) -> bool:
    """Whether the loops are made for so many; they are for the spaces there are."""
    return candidates <= CANDIDATES and shared <= SHARED


def compiled_weighted_sum(
    weights: Tensor, candidates: Sequence[Tensor], norms: Sequence[nn.BatchNorm2d],
    shared: Sequence[Tensor], shared_norms: Sequence[nn.BatchNorm2d | None], arrived: Tensor | None,
) -> Tensor:  # fmt: skip
    """As `weighted_sum`, of norms in training."""
    return _CompiledWeightedSum.apply(weights, arrived, list(norms), list(shared_norms), *candidates, *shared)


class _CompiledWeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, arrived: Tensor | None,
        norms: list[nn.BatchNorm2d], shared_norms: list[nn.BatchNorm2d | None], *values: Tensor,
    ) -> Tensor:  # fmt: skip
        count, edges, channels = len(norms), len(weights), values[-1].shape[1]
        zs, xs = [flat(z) for z in values[:count]], [flat(x) for x in values[count:]]
        by_column = _by_channel(weights, channels)
        mean, inverse = _statistics(norms, zs, edges * channels, xs[0].dtype)
        factor = by_column[:count] * inverse
        shared_mean, shared_inverse = _statistics(shared_norms, xs, channels, xs[0].dtype)
        shared_factor = by_column[count:].reshape(len(xs), edges, channels) * shared_inverse[:, None]
        shift = -(factor * mean).sum(axis=0) - (shared_factor * shared_mean[:, None]).sum(axis=0).reshape(-1)
        y = new(values[-1], edges * channels)
        tile = tile_pixels(edges * channels)
        loops.weigh(
            channels, *((xs[0], 0) if arrived is None else stepped(arrived)), _filled(zs, CANDIDATES, xs), count,
            lanes(factor), lanes(shift), _filled(xs, SHARED, xs), len(xs), lanes(shared_factor, tile), flat(y),
        )  # fmt: skip
        ctx.save_for_backward(weights, *values)
        ctx.statistics = mean, inverse, shared_mean, shared_inverse
        ctx.normalised = np.array([[norm is not None] for norm in shared_norms])
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *values = ctx.saved_tensors
        mean, inverse, shared_mean, shared_inverse = ctx.statistics
        count, edges, channels = len(mean), len(weights), values[-1].shape[1]
        g, zs, xs = flat(gradient), [flat(z) for z in values[:count]], [flat(x) for x in values[count:]]
        width, shared, tile = edges * channels, len(xs), tile_pixels(edges * channels)
        pixels, by_column = g.size // width, _by_channel(weights, channels)
        sums, products = np.zeros(tile * width, g.dtype), np.zeros((count, tile * width), g.dtype)
        shared_products = np.zeros((shared, edges, tile * channels), g.dtype)
        loops.add_products(
            channels, g, _filled(zs, CANDIDATES, xs), count, lanes(mean), _filled(xs, SHARED, xs), shared,
            lanes(shared_mean, tile), sums, products, shared_products,
        )  # fmt: skip
        mean_gradient = summed(sums, width) / pixels
        dot = summed(products, width) * inverse
        shared_dot = summed(shared_products, channels) * shared_inverse[:, None]

        factor = by_column[:count] * inverse
        by_z = -factor * inverse * dot / pixels
        outs = [empty_like(z) for z in values]
        written = [flat(out) for out in outs]
        loops.combine_each(
            g, _filled(zs, CANDIDATES, xs), count, lanes(factor), lanes(by_z),
            lanes(-factor * mean_gradient - by_z * mean), _filled(written[:count], CANDIDATES, xs),
        )  # fmt: skip
        each = by_column[count:].reshape(shared, edges, channels)
        by_x = -(shared_inverse**2) * (each * shared_dot).sum(axis=1) / pixels * ctx.normalised
        of_mean = shared_inverse * (each * mean_gradient.reshape(edges, channels)).sum(axis=1) * ctx.normalised
        loops.combine_shared(
            channels, g, _filled(xs, SHARED, xs), shared, lanes(each * shared_inverse[:, None], tile),
            lanes(by_x, tile), lanes(-of_mean - by_x * shared_mean, tile), _filled(written[count:], SHARED, xs),
        )  # fmt: skip
        per_edge = [*dot.reshape(count, edges, channels).sum(axis=2), *shared_dot.sum(axis=2)]
        weight_gradient = torch.from_numpy(np.stack(per_edge, axis=1))
        return weight_gradient, gradient if ctx.needs_input_grad[1] else None, None, None, *outs


def _by_channel(weights: Tensor, channels: int) -> Array:
    """(edges, columns) -> (columns, edges * channels)."""
    return weights.detach().numpy().T.repeat(channels, axis=1)


def _statistics(
    norms: Sequence[nn.BatchNorm2d | None], arrays: Sequence[Array], channels: int, dtype: Any
) -> tuple[Array, Array]:
    """Means and one over standard deviations, (norms, channels) each; 0 and 1 where there is no norm."""
    mean, inverse = np.zeros((len(norms), channels), dtype), np.ones((len(norms), channels), dtype)
    for k, (norm, array) in enumerate(zip(norms, arrays, strict=True)):
        if norm is not None:
            mean[k], inverse[k] = batch_statistics(norm, array)
    return mean, inverse


def _filled(arrays: Sequence[Array], length: int, others: Sequence[Array]) -> tuple[Array, ...]:
    """As many as a loop takes; it does not look at those beyond its count."""
    return (*arrays, *[others[0]] * (length - len(arrays)))
