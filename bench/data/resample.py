"""Pillow's affine resampling on whole batches of uint8 images, each with a matrix of its own; to the bit.

A matrix maps a pixel's centre in the result to a place in the source, in pixels from the top left corner. Outside is
grey (128).
"""

from __future__ import annotations

import torch
from torch import Tensor

GREY = 128
_ONE = 1 << 16  # Pillow steps through an image in fixed-point numbers of 16 binary places


def pixel_affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Nearest neighbour.

    Args:
        images: uint8, (B, C, H, W). matrices: float64, (B, 2, 3).
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    by_column, by_row = (_fixed(matrices[:, :, k])[:, :, None, None] for k in (0, 1))
    start = _fixed(matrices[:, :, 2] + 0.5 * matrices[:, :, 0] + 0.5 * matrices[:, :, 1])[:, :, None, None]
    places = (start + by_column * columns + by_row * rows) >> 16
    return _look_up(images, places[:, 1], places[:, 0])


def _fixed(values: Tensor) -> Tensor:
    return torch.floor(values * _ONE + 0.5).to(torch.int64)


def cubic_affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Cubic interpolation (Keys 1981 with a = -1), the border's pixels repeated; results are cut off to whole values.

    Args:
        images: uint8, (B, C, H, W). matrices: float64, (B, 2, 3).
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float64)[:, None] + 0.5
    a = matrices[:, :, :, None, None]
    place_x, place_y = (a[:, k, 0] * x + a[:, k, 1] * y + a[:, k, 2] for k in (0, 1))
    inside = (place_x >= 0) & (place_x < width) & (place_y >= 0) & (place_y < height)
    first_x, first_y = torch.floor(place_x - 0.5), torch.floor(place_y - 0.5)
    distance_x, distance_y = (place_x - 0.5 - first_x)[:, None], (place_y - 0.5 - first_y)[:, None]
    lines = []
    for down in (-1, 0, 1, 2):
        row = (first_y.long() + down).clamp(0, height - 1)
        taps = [
            _look_up(images, row, (first_x.long() + right).clamp(0, width - 1)).to(torch.float64)
            for right in (-1, 0, 1, 2)
        ]
        lines.append(_cubic(taps, distance_x))
    value = _cubic(lines, distance_y).clamp(0, 255).to(torch.uint8)
    return torch.where(inside[:, None], value, GREY)


def _cubic(taps: list[Tensor], distance: Tensor) -> Tensor:
    before, here, after, last = taps
    third = 2 * (before - here) + after - last
    fourth = -before + here - after + last
    return here + distance * (after - before + distance * (third + distance * fourth))


def _look_up(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels at (B, H, W) places; grey outside."""
    count, _, height, width = images.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    which = torch.arange(count, device=images.device)[:, None, None]
    found = images[which, :, rows.clamp(0, height - 1), columns.clamp(0, width - 1)].permute(0, 3, 1, 2)
    return torch.where(inside[:, None], found, torch.full_like(found, GREY))
