"""Between tensors and the flat arrays of the loops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods.parts.compiled.loops.compiling import Array, tile_pixels


def flat(x: Tensor) -> Array:
    """(batch, channels, h, w) pixel by pixel: the memory itself where it is channels-last."""
    return x.detach().permute(0, 2, 3, 1).contiguous().view(-1).numpy()


def rows(x: Tensor) -> Array:
    """(batch, h, w * channels), as `flat`."""
    batch, channels, height, width = x.shape
    return flat(x).reshape(batch, height, width * channels)


def stepped(x: Tensor) -> tuple[Array, int]:
    """Flat, from its first number to its last, and how many numbers after the last one a pixel begins: where it is some
    of the channels of a channels-last tensor, the memory itself."""
    _, channels, height, width = x.shape
    step = x.stride(3)
    if step < channels or x.stride() != (step * width * height, 1, step * width, step):
        return flat(x), channels
    return x.detach().as_strided(((x.numel() // channels - 1) * step + channels,), (1,)).numpy(), step


def new(like: Tensor, channels: int) -> Tensor:
    """Channels-last, of another number of channels."""
    return torch.empty((like.shape[0], *like.shape[2:], channels), dtype=like.dtype).permute(0, 3, 1, 2)


def empty_like(x: Tensor) -> Tensor:
    return new(x, x.shape[1])


def lanes(by_channel: Array, pixels: int | None = None) -> Array:
    """(..., channels) -> (..., pixels * channels), over a tile."""
    pixels = tile_pixels(by_channel.shape[-1]) if pixels is None else pixels
    return np.tile(by_channel, pixels)


def summed(sums: Array, channels: int) -> Array:
    """(..., pixels * channels) of a tile -> (..., channels)."""
    return sums.reshape(*sums.shape[:-1], sums.shape[-1] // channels, channels).sum(axis=-2)
