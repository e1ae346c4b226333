"""Schedules: values as functions of the epoch."""

from __future__ import annotations

import math


def linear(epoch: int, epochs: int, start: float, end: float) -> float:
    """From `start` in the first epoch to `end` in the last one, in equal steps; `start` where there is one epoch."""
    return start + (end - start) * epoch / max(1, epochs - 1)


def restarts(epoch: int, first: int, factor: int = 2) -> tuple[int, int]:
    """The epoch within its period, and the period's length: `first` epochs, then `factor` times as many, and so on.

    Loshchilov and Hutter, ICLR 2017 (SGDR), section 3.
    """
    length = first
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return epoch, length


def cosine(epoch: int, epochs: int, start: float, end: float, warmup: int = 0) -> float:
    """Cosine from `start` at epoch 0 to `end` at epoch `epochs`, constant within an epoch.

    During the first `warmup` epochs the value rises linearly instead: (epoch + 1) / warmup of `start`.
    """
    if epoch < warmup:
        return start * (epoch + 1) / warmup
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2
