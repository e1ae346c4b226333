"""Every kernel beside the plain functions it stands for: values, gradients and running statistics on small inputs.

A kernel that was right on one GPU and one version of Triton can be wrong on the next. `largest_error` says how far one
is from the plain functions in double precision, where it runs; `bench.device.proofs` asks before a run relies on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.executors.weighted_sum import weighted_sum

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float64: 1e-9}
"""Largest difference, as a share of the largest value, that the order of sums and the storage of a type explain."""

BATCH, CHANNELS, SIDE = 5, 2, 5
"""Odd sizes: no block is full, and stride 2 leaves half a window over."""

Norms = list[nn.BatchNorm2d]


def largest_error(kernel: str, device: torch.device, dtype: torch.dtype) -> float:
    """The largest relative difference between a kernel and the plain functions; inf where it gives no number.

    Args:
        kernel: one of `methods.parts.executors.kernels.NAMES`.
        dtype: of the activations.

    Raises:
        Exception: whatever compiling or launching the kernel raises.
    """
    return _PROOFS[kernel](device, dtype)


def _relu_depthwise(device: torch.device, dtype: torch.dtype) -> float:
    """Four edges at once, with a stride and a dilation: everything that decides which pixel is read."""
    from methods.parts.executors.kernels.depthwise import relu_depthwise

    edges, size, stride, dilation = 4, 3, 2, 2
    state = _leaf(1, (BATCH, CHANNELS, SIDE, SIDE), device, dtype)
    weight = _leaf(2, (edges * CHANNELS, 1, size, size), device, _weights(dtype))

    def plain(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(torch.cat([x.relu()] * edges, dim=1), w, None, stride, dilation, dilation, groups=len(w))

    return _compare(relu_depthwise(state, weight, stride, dilation), plain, [state, weight])


def _norm_relu_depthwise(device: torch.device, dtype: torch.dtype) -> float:
    from methods.parts.executors.kernels.depthwise import norm_relu_depthwise

    z = _leaf(1, (BATCH, CHANNELS, SIDE, SIDE), device, dtype)
    weight = _leaf(2, (CHANNELS, 1, 3, 3), device, _weights(dtype))
    norms, references = _norms(1, CHANNELS, device, dtype)

    def plain(x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(references[0](x).relu(), w, padding=1, groups=CHANNELS)

    found = norm_relu_depthwise(z, weight, norms[0])
    return max(_compare(found, plain, [z, weight]), _running(norms, references))


def _weighted_sum(device: torch.device, dtype: torch.dtype) -> float:
    from methods.parts.executors.kernels.weighted_sum import fused_weighted_sum

    edges, candidates, shared = 2, 5, 3
    weights = _leaf(3, (edges, candidates + shared), device, _weights(dtype))
    shape = (BATCH, edges * CHANNELS, SIDE, SIDE)
    zs = [_leaf(4 + k, shape, device, dtype) for k in range(candidates)]
    xs = [_leaf(20 + k, (BATCH, CHANNELS, SIDE, SIDE), device, dtype) for k in range(shared)]
    norms, references = _norms(candidates, edges * CHANNELS, device, dtype)

    def plain(w: Tensor, *values: Tensor) -> Tensor:
        return weighted_sum(w, values[:candidates], references, values[candidates:])

    found = fused_weighted_sum(weights, zs, norms, xs)
    return max(_compare(found, plain, [weights, *zs, *xs]), _running(norms, references))


_PROOFS: dict[str, Callable[[torch.device, torch.dtype], float]] = {
    "relu_depthwise": _relu_depthwise,
    "norm_relu_depthwise": _norm_relu_depthwise,
    "weighted_sum": _weighted_sum,
}


def _weights(dtype: torch.dtype) -> torch.dtype:
    """Weights stay in single precision beside bfloat16 activations, as under autocast."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _leaf(seed: int, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(device, dtype).requires_grad_()


def _norms(count: int, channels: int, device: torch.device, dtype: torch.dtype) -> tuple[Norms, Norms]:
    """Normalisations in training mode, and their twins in double precision."""

    def made(kind: torch.dtype) -> Norms:
        return [nn.BatchNorm2d(channels, affine=False, device=device, dtype=kind) for _ in range(count)]

    return made(_weights(dtype)), made(torch.float64)


def _compare(found: Tensor, plain: Callable[..., Tensor], inputs: Sequence[Tensor]) -> float:
    """Of the values, and of the gradients of every input for a gradient that differs from pixel to pixel."""
    references: list[Any] = [value.detach().double().requires_grad_() for value in inputs]
    wanted = plain(*references)
    gradient = torch.linspace(-1, 1, wanted.numel(), device=wanted.device, dtype=torch.float64).view_as(wanted)
    mine = torch.autograd.grad(found, inputs, gradient.to(found.dtype))
    theirs = torch.autograd.grad(wanted, references, gradient.to(found.dtype).double())
    pairs = zip((found, *mine), (wanted, *theirs), strict=True)
    return max(_difference(own, reference) for own, reference in pairs)


def _running(norms: Norms, references: Norms) -> float:
    pairs = zip(norms, references, strict=True)
    return max(
        _difference(getattr(own, name), getattr(reference, name))
        for own, reference in pairs
        for name in ("running_mean", "running_var")
    )


def _difference(found: Tensor, wanted: Tensor) -> float:
    error = ((found.double() - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30)).item()
    return error if error == error else float("inf")
