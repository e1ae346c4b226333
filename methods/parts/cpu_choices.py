"""What a CPU can compute in several ways, and the way this process takes.

Which is fastest depends on the processor and on torch's build (`bench.device.calibration` measures). The process that
computes sets its choices with `choose`, once and before it builds a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

MemoryFormat = Literal["channels_last", "contiguous"]
DepthwiseClass = tuple[int, int, int]
"""Kernel, stride, dilation."""

DEPTHWISE_CLASSES: tuple[DepthwiseClass, ...] = ((3, 1, 1), (5, 1, 1), (3, 2, 1), (5, 2, 1), (3, 1, 2), (5, 1, 2))
"""Those of the cell space."""


@dataclass(frozen=True)
class CpuChoices:
    """What a CPU can do in several ways that are the same mathematics, with sums in another order.

    Attributes:
        memory_format: of networks, images and gradients.
        native: depthwise convolutions whose backward pass is torch's own; that of all others is taken apart.
        compiled: by the loops of `methods.parts.compiled` what they compute; only in channels-last memory.

    Raises:
        ValueError: unknown memory format or class of convolution; compiled loops in contiguous memory.
    """

    memory_format: MemoryFormat = "channels_last"
    native: tuple[DepthwiseClass, ...] = ()
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.memory_format not in ("channels_last", "contiguous"):
            raise ValueError(f"memory format {self.memory_format!r}; valid: channels_last, contiguous")
        unknown = set(self.native) - set(DEPTHWISE_CLASSES)
        if unknown:
            raise ValueError(f"no depthwise convolution is {sorted(unknown)}; valid: {DEPTHWISE_CLASSES}")
        if self.compiled and self.memory_format != "channels_last":
            raise ValueError("compiled loops read channels-last memory; with contiguous memory there are none")

    @property
    def torch_format(self) -> torch.memory_format:
        return torch.channels_last if self.memory_format == "channels_last" else torch.contiguous_format


DEFAULT_CHOICES = CpuChoices()
_chosen = DEFAULT_CHOICES


def choose(choices: CpuChoices) -> None:
    """Set what this process computes with on a CPU. In the middle of a run it would change the run's bits."""
    global _chosen
    _chosen = choices


def chosen() -> CpuChoices:
    return _chosen


@contextmanager
def choosing(choices: CpuChoices) -> Iterator[None]:
    """These choices for a while: to measure, or to compare."""
    before = chosen()
    choose(choices)
    try:
        yield
    finally:
        choose(before)
