"""Between tensors and the flat arrays of the loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from methods.parts.compiled.loops import PIXELS, Array, first_of, index_of


def flat(x: Tensor) -> Array:
    """(batch, channels, h, w) pixel by pixel: the memory itself where it is channels-last."""
    return x.detach().permute(0, 2, 3, 1).reshape(-1).numpy()


def new(like: Tensor, channels: int, filled: bool = False) -> Tensor:
    """Channels-last, of another number of channels; zero where `filled`."""
    shape = like.shape[0], *like.shape[2:], channels
    make = torch.zeros if filled else torch.empty
    return make(shape, dtype=like.dtype).permute(0, 3, 1, 2)


def empty_like(x: Tensor) -> Tensor:
    return new(x, x.shape[1])


def lanes(vector: Tensor) -> Array:
    """A number for each channel, over a tile."""
    return np.tile(vector.detach().numpy(), PIXELS)


def repeated(vector: Tensor) -> Array:
    return np.ascontiguousarray(vector.detach().numpy())


def summed(loop: Callable[..., None], channels: int, dtype: torch.dtype, *seen: Array) -> Tensor:
    """By channel, what a loop adds up in the numbers of a tile."""
    sums = np.zeros(PIXELS * channels, seen[0].dtype)
    loop(*seen, sums)
    return torch.from_numpy(sums).view(PIXELS, channels).sum(dim=0, dtype=dtype)


@cache
def indices(channels: int, edges: int) -> tuple[Array, Array]:
    """`index_of` and `first_of`, made once."""
    return index_of(channels, edges), first_of(channels, edges)
