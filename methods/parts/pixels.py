"""Images and maps at a lower resolution, by the pixels nearest to a regular grid, and back (FBNetV2, CVPR 2020, 3.2).

Side s of a map of side g has the rows and columns floor(i g / s), i = 0 ... s - 1. At s = g that is the map itself.
Scattering puts them back where they were, with zeros between them, so that maps of several resolutions lie on one grid
and a pixel of one is a pixel of another that sees the same place of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn

from methods.parts.convolution import in_memory_format


def sampled_side(side: int, resolution: int, full: int) -> int:
    """Pixels a side of an image of `side` at `resolution` of `full`; at least one."""
    return max(1, side * resolution // full)


def sample(x: Tensor, side: int) -> Tensor:
    """(batch, channels, g, g) -> (batch, channels, side, side)."""
    rows, columns = (_places(side, size, x) for size in x.shape[2:])
    if x.shape[2:] == (side, side):
        return x
    return in_memory_format(x.index_select(2, rows).index_select(3, columns))


def scatter(x: Tensor, side: int) -> Tensor:
    """(batch, channels, s, s) -> (batch, channels, side, side): `sample` of it gives x; all other pixels are zero."""
    batch, channels, height, width = x.shape
    if (height, width) == (side, side):
        return x
    rows, columns = _places(height, side, x), _places(width, side, x)
    high = x.new_zeros(batch, channels, side, width).index_copy(2, rows, x)
    return in_memory_format(x.new_zeros(batch, channels, side, side).index_copy(3, columns, high))


def _places(sampled: int, side: int, like: Tensor) -> Tensor:
    return torch.arange(sampled, device=like.device) * side // sampled


class AtResolution(nn.Module):
    """Images (batch, channels, h, w) at a resolution."""

    def __init__(self, resolution: int, full: int) -> None:
        super().__init__()
        self.resolution, self.full = resolution, full

    def forward(self, images: Tensor) -> Tensor:
        return sample(images, sampled_side(images.shape[2], self.resolution, self.full))


class Resolutions:
    """The resolutions of one forward pass on one grid.

    Args:
        images: (batch, channels, h, w); what is given to the first layer.
        resolutions: of `full`, ascending.
        gates: (resolutions,); None where there is one, which is then computed as it is.
    """

    def __init__(self, images: Tensor, resolutions: tuple[int, ...], gates: Tensor | None, full: int) -> None:
        self.sides = [sampled_side(images.shape[2], resolution, full) for resolution in resolutions]
        self.gates = gates
        self.images = images if gates is not None else sample(images, self.sides[0])

    def through(self, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What `run` gives of a map: at each resolution of what is sampled there, weighted, on one grid."""
        if self.gates is None:
            return run(x)
        maps = [run(sample(x, side)) for side in self.sides]
        grid = maps[-1].shape[2]
        weighted = [scatter(each, grid) * gate for gate, each in zip(self.gates, maps, strict=True)]
        return reduce(torch.add, weighted)

    def stride(self, stride: int) -> None:
        """What follows is behind a layer of this stride."""
        self.sides = [(side + stride - 1) // stride for side in self.sides]

    def pooled(self, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The features (batch, channels) of a last map: averages over the pixels of each resolution, weighted."""
        means = [run(each).mean((2, 3)) for each in ([x] if self.gates is None else [sample(x, s) for s in self.sides])]
        return means[0] if self.gates is None else (torch.stack(means, dim=-1) * self.gates).sum(dim=-1)
