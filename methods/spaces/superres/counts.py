"""Parameters and MACs of the distillation backbone in closed form; every input has the same cost."""

from __future__ import annotations

from collections.abc import Sequence

from methods.parts.counts import NetworkCounts
from methods.spaces.superres.layout import BLOCKS, CHOOSING, REFINEMENTS, kernel_of

Layer = tuple[int, int, int]
"""Weights, biases, positions of a convolution."""


def operation_weights(operation: str, channels: int) -> int:
    """Of one candidate; it has no biases."""
    kind, kernel = kernel_of(operation)
    if kind == "conv":
        return kernel**2 * channels**2
    return (2 if kind == "sep_conv" else 1) * (kernel**2 * channels + channels**2)


def network_counts(
    operations: Sequence[str], channels: int, in_channels: int, outputs: int, height: int, width: int
) -> NetworkCounts:
    """Of a network that reads images of this size."""
    layers = _frame(channels, in_channels, outputs, height * width)
    for _ in range(BLOCKS):
        layers += [(operation_weights(each, channels), 0, height * width) for each in operations]
        layers += _block(channels, height, width)
    params = sum(weights + biases for weights, biases, _ in layers)
    return NetworkCounts(params, params, sum(weights * positions for weights, _, positions in layers))


def _frame(channels: int, in_channels: int, outputs: int, pixels: int) -> list[Layer]:
    joins = [(2 * channels**2, channels, pixels)] * len(CHOOSING)
    return [
        (9 * in_channels * channels, channels, pixels),
        *joins,
        (BLOCKS * channels**2, channels, pixels),
        (9 * channels**2, channels, pixels),
        (9 * channels * outputs, outputs, pixels),
    ]


def _block(channels: int, height: int, width: int) -> list[Layer]:
    half, inner, pixels = channels // 2, channels // 4, height * width
    strided = [(side - 3) // 2 + 1 for side in (height, width)]
    pooled = [(side - 7) // 3 + 1 for side in strided]
    return [
        *[(channels * half, half, pixels)] * REFINEMENTS,
        (9 * channels * half, half, pixels),
        ((REFINEMENTS + 1) * half * channels, channels, pixels),
        (channels * inner, inner, pixels),
        (inner**2, inner, pixels),
        (9 * inner**2, inner, strided[0] * strided[1]),
        *[(9 * inner**2, inner, pooled[0] * pooled[1])] * 3,
        (inner * channels, channels, pixels),
    ]
