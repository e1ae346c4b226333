"""Parameters and MACs in closed form: a sum over the six operations, since every one of them is built.

Counted as in `methods.parts.counts`. The published table gives the same parameters, and as FLOPs these MACs plus one
for each class (the classifier's biases).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from methods.parts.counts import NetworkCounts
from methods.spaces.nasbench201.cell import CONV_1, CONV_3, OPERATIONS
from methods.spaces.nasbench201.network import STAGES

KERNEL = {CONV_1: 1, CONV_3: 3}
"""Of the operations that have weights."""


@dataclass(frozen=True)
class Size:
    """Of the network around a cell; C, N, and the image (square, `image_size` pixels)."""

    channels: int = 16
    cells_per_stage: int = 5
    num_classes: int = 10
    in_channels: int = 3
    image_size: int = 32


def operation_counts(operation: str, size: Size) -> tuple[int, int]:
    """Parameters and MACs that one edge with this operation adds to the network."""
    if operation not in KERNEL:
        return 0, 0
    params = macs = 0
    for width, pixels in _stages(size):
        weights = KERNEL[operation] ** 2 * width**2
        params += size.cells_per_stage * (weights + 2 * width)
        macs += size.cells_per_stage * weights * pixels
    return params, macs


def frame_counts(size: Size) -> tuple[int, int]:
    """Parameters and MACs of what surrounds the cells: stem, reductions, classifier."""
    stages = _stages(size)
    stem = 9 * size.in_channels * size.channels
    params, macs = stem + 2 * size.channels, stem * size.image_size**2
    for (before, _), (width, pixels) in itertools.pairwise(stages):
        weights = 9 * before * width + 9 * width**2 + before * width
        params += weights + 4 * width
        macs += weights * pixels
    last = stages[-1][0]
    return params + 2 * last + (last + 1) * size.num_classes, macs + last * size.num_classes


def network_counts(operations: Sequence[str], size: Size) -> NetworkCounts:
    """Of the network with these six operations."""
    params, macs = frame_counts(size)
    for operation in operations:
        more = operation_counts(operation, size)
        params, macs = params + more[0], macs + more[1]
    return NetworkCounts(params, params, macs)


def counts_of_codes(codes: NDArray[np.int64], size: Size) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters and MACs of many networks at once.

    Args:
        codes: (networks, 6), indices into `OPERATIONS`.
    """
    each = np.array([operation_counts(operation, size) for operation in OPERATIONS], dtype=np.int64)
    totals = each[codes].sum(axis=1) + np.array(frame_counts(size), dtype=np.int64)
    return totals[:, 0], totals[:, 1]


def _stages(size: Size) -> list[tuple[int, int]]:
    """Channels and pixels of each stage."""
    return [(size.channels * 2**stage, (size.image_size >> stage) ** 2) for stage in range(STAGES)]
