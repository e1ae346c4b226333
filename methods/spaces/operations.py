"""The candidate operations of the DARTS cell space (Liu et al., ICLR 2019, section 3.1.1 and its released code).

Convolutions have no bias; the order inside is ReLU, convolution, batch normalisation. Every module maps
(batch, c_in, h, w) to (batch, c_out, h / stride, w / stride).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NONE = "none"
MAX_POOL = "max_pool_3x3"
AVG_POOL = "avg_pool_3x3"
SKIP = "skip_connect"
SEP_3, SEP_5 = "sep_conv_3x3", "sep_conv_5x5"
DIL_3, DIL_5 = "dil_conv_3x3", "dil_conv_5x5"

OPERATIONS = (NONE, MAX_POOL, AVG_POOL, SKIP, SEP_3, SEP_5, DIL_3, DIL_5)
"""The eight candidates, in the order of the released code; the index is the column of alpha."""

KERNEL = {SEP_3: 3, SEP_5: 5, DIL_3: 3, DIL_5: 5}
POOLS = (MAX_POOL, AVG_POOL)
SEPARABLE = (SEP_3, SEP_5)
DILATED = (DIL_3, DIL_5)


class ReLUConvBN(nn.Sequential):
    """ReLU, 1x1 convolution, batch normalisation: a cell's preprocessing of an input."""

    def __init__(self, c_in: int, c_out: int, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(inplace=False), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, affine=affine)
        )


class FactorizedReduce(nn.Module):
    """Halve height and width with two 1x1 stride-2 convolutions, the second on the input shifted by one pixel.

    The first convolution makes `c_first` channels (by default `c_out // 2`), the second the rest.
    """

    def __init__(self, c_in: int, c_out: int, affine: bool = True, c_first: int | None = None) -> None:
        super().__init__()
        c_first = c_out // 2 if c_first is None else c_first
        self.conv_1 = nn.Conv2d(c_in, c_first, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out - c_first, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


class SepConv(nn.Sequential):
    """Depthwise-separable convolution applied twice; only the first application has the stride.

    Args:
        c_mid: channels between the two applications; `c_in` in DARTS.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool = True, c_mid: int | None = None
    ) -> None:
        mid, padding = c_mid or c_in, kernel // 2
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, kernel, stride, padding, groups=c_in, bias=False),
            nn.Conv2d(c_in, mid, 1, bias=False),
            nn.BatchNorm2d(mid, affine=affine),
            nn.ReLU(inplace=False),
            nn.Conv2d(mid, mid, kernel, 1, padding, groups=mid, bias=False),
            nn.Conv2d(mid, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


class DilConv(nn.Sequential):
    """Depthwise convolution with dilation 2, then pointwise."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, kernel, stride, kernel - 1, dilation=2, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


class Zero(nn.Module):
    """The `none` operation: zeros of the output's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


def pool(operation: str, stride: int) -> nn.Module:
    """3x3 pooling, padding 1; the average counts only pixels inside the image."""
    if operation == AVG_POOL:
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    return nn.MaxPool2d(3, stride, padding=1)


def make_operation(
    operation: str,
    c_in: int,
    c_out: int,
    stride: int,
    *,
    affine: bool = True,
    pool_norm: bool = False,
    c_mid: int | None = None,
    c_first: int | None = None,
) -> nn.Module:
    """One candidate as a module.

    Args:
        affine: whether batch normalisations have scale and shift (they have not during a DARTS search).
        pool_norm: batch normalisation after a pool: in the DARTS supernet and in retrained MGAS networks.
        c_mid: inner width of a separable convolution.
        c_first: channels of the first half of a factorised reduction.

    Raises:
        ValueError: unknown operation, or a pool or identity between different widths.
    """
    if operation in SEPARABLE:
        return SepConv(c_in, c_out, KERNEL[operation], stride, affine, c_mid)
    if operation in DILATED:
        return DilConv(c_in, c_out, KERNEL[operation], stride, affine)
    if operation == SKIP and stride == 2:
        return FactorizedReduce(c_in, c_out, affine, c_first)
    if c_in != c_out:
        raise ValueError(f"{operation} cannot change the width from {c_in} to {c_out} channels")
    if operation == NONE:
        return Zero(stride)
    if operation == SKIP:
        return nn.Identity()
    if operation in POOLS:
        module = pool(operation, stride)
        return nn.Sequential(module, nn.BatchNorm2d(c_out, affine=affine)) if pool_norm else module
    raise ValueError(f"unknown operation '{operation}'; known: {', '.join(OPERATIONS)}")
