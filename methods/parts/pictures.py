"""Pixels of photographs: bicubic resizing, the luma channel, and high frequencies; all on the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GREY_LEVELS = 255.0
LUMA = (65.481, 128.553, 24.966)
"""Of red, green and blue in [0, 1], with an offset of 16 (ITU-R BT.601, as MATLAB's rgb2ycbcr has it)."""
OFFSET = 16.0


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Bicubic interpolation with the kernel of a = -0.5, widened where it makes smaller (antialiased).

    This is the kernel of MATLAB's imresize and of Pillow. At the border its weights are renormalised, as in Pillow;
    MATLAB mirrors the image there.

    Args:
        images: float, (batch, channels, h, w).
    """
    return F.interpolate(images, (height, width), mode="bicubic", align_corners=False, antialias=True)


def in_grey_levels(images: Tensor) -> Tensor:
    """Images in [0, 1] as an 8-bit file has them: clipped, rounded, and in [0, 1] again."""
    return images.clamp(0, 1).mul(GREY_LEVELS).round().div(GREY_LEVELS)


def luma(images: Tensor) -> Tensor:
    """Y in [16, 235] of images in [0, 1]: (batch, 1, h, w) of (batch, 3, h, w); a grey image is its own, times 255."""
    if images.shape[1] == 1:
        return images * GREY_LEVELS
    red, green, blue = images.split(1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + OFFSET


def gaussian(side: int, sigma: float, like: Tensor) -> Tensor:
    """A kernel (side, side) whose sum is one."""
    steps = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    line = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


def edges(images: Tensor) -> Tensor:
    """Laplacian of the smoothed image, summed over its channels and divided by its largest value, if that is not zero.

    The Gaussian has 5x5 pixels and sigma 1.5 (without padding), the Laplacian four neighbours (padded with zeros), as
    DLSR's released code has them.
    """
    channels = images.shape[1]
    kernel = gaussian(5, 1.5, images).expand(channels, 1, 5, 5)
    smooth = F.conv2d(images, kernel, groups=channels).sum(1, keepdim=True)
    around = F.pad(smooth, (1, 1, 1, 1))
    beside = around[..., :-2, 1:-1] + around[..., 2:, 1:-1] + around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    found = beside - 4 * smooth
    largest = found.max()
    return found / torch.where(largest == 0, torch.ones_like(largest), largest)


def high_frequency_error(images: Tensor, targets: Tensor) -> Tensor:
    """HFEN (Ravishankar and Bresler, IEEE TMI 2011) as DLSR has it, of `edges`: a 0-d tensor."""
    return (edges(images) - edges(targets)).abs().mean()
