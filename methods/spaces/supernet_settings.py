"""The size of a supernet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SupernetSettings:
    """Attributes:
    channels: C, of the first cells.
    cells: number of cells, in the DARTS cell space.
    cells_per_stage: N, cells in each of the three stages of NAS-Bench-201.
    stem: "cifar" or "imagenet", as in `NetworkSettings`.
    in_channels: image channels.
    """

    channels: int = 16
    cells: int = 8
    stem: str = "cifar"
    in_channels: int = 3
    cells_per_stage: int = 5
