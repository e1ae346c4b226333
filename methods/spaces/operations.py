"""The operations of cells: the candidates of DARTS (Liu et al., ICLR 2019, section 3.1.1 and its released code), and
those of the cells that were published in other spaces (docs/cells.md).

Convolutions have no bias; the order inside is ReLU, convolution, batch normalisation. Every module maps
(batch, c_in, h, w) to (batch, c_out, h / stride, w / stride).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.convolution import StridedPointwise
from methods.spaces.operation_names import (
    AVG_POOL,
    DIL_3,
    DIL_5,
    DILATED,
    FAMILY,
    GROUPS,
    KERNEL,
    MAX_POOL,
    NOISE,
    NONE,
    OPERATIONS,
    POOLS,
    SEP_3,
    SEP_5,
    SEPARABLE,
    SKIP,
    has_inner_width,
    is_pool,
    keeps_width,
)  # fmt: skip

__all__ = [
    "AVG_POOL",
    "DILATED",
    "DIL_3",
    "DIL_5",
    "FAMILY",
    "GROUPS",
    "KERNEL",
    "MAX_POOL",
    "NOISE",
    "NONE",
    "OPERATIONS",
    "POOLS",
    "SEPARABLE",
    "SEP_3",
    "SEP_5",
    "SKIP",
    "CrossConv",
    "DilConv",
    "FactorizedReduce",
    "GroupConv",
    "Noise",
    "ReLUConvBN",
    "SepConv",
    "Zero",
    "has_inner_width",
    "is_pool",
    "keeps_width",
    "make_operation",
    "pool",
]  # fmt: skip


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution, batch normalisation: a cell's preprocessing of an input (1x1), or `nor_conv`."""

    def __init__(self, c_in: int, c_out: int, affine: bool = True, kernel: int = 1, stride: int = 1) -> None:
        if (kernel, stride) == (1, 2):
            convolution: nn.Conv2d = StridedPointwise(c_in, c_out)
        else:
            convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        super().__init__(nn.ReLU(inplace=False), convolution, nn.BatchNorm2d(c_out, affine=affine))


class FactorizedReduce(nn.Module):
    """Halve height and width with two 1x1 stride-2 convolutions, the second on the input shifted by one pixel.

    The first convolution makes `c_first` channels (by default `c_out // 2`), the second the rest.
    """

    def __init__(self, c_in: int, c_out: int, affine: bool = True, c_first: int | None = None) -> None:
        super().__init__()
        c_first = c_out // 2 if c_first is None else c_first
        self.conv_1 = StridedPointwise(c_in, c_first)
        self.conv_2 = StridedPointwise(c_in, c_out - c_first)
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


class CrossConv(nn.Sequential):
    """A 1xk convolution with the horizontal stride, then kx1 with the vertical one: `conv_7x1_1x7` of NASNet's space.

    Args:
        c_mid: channels between the two; `c_in` where it is not given.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool = True, c_mid: int | None = None
    ) -> None:
        mid, padding = c_mid or c_in, kernel // 2
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, mid, (1, kernel), (1, stride), (0, padding), bias=False),
            nn.Conv2d(mid, c_out, (kernel, 1), (stride, 1), (padding, 0), bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


class GroupConv(nn.Sequential):
    """1x3 and 3x1 convolutions in eight groups, then a pointwise one: GDAS' fixed reduction cell (Dong and Yang, CVPR
    2019, figure 3 and released code). The strides are those of `CrossConv`.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(c_in, c_in, (1, 3), (1, stride), (0, 1), groups=GROUPS, bias=False),
            nn.Conv2d(c_in, c_in, (3, 1), (stride, 1), (1, 0), groups=GROUPS, bias=False),
            nn.BatchNorm2d(c_in, affine=affine),
            nn.ReLU(inplace=False),
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


class Noise(nn.Module):
    """Standard normal noise of the input's shape, in evaluation too (space S4 of Zela et al., ICLR 2020)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x[:, :, :: self.stride, :: self.stride])


def pool(operation: str, stride: int) -> nn.Module:
    """Pooling that keeps the size at stride 1; the average counts only pixels inside the image."""
    kernel = KERNEL[operation]
    if FAMILY[operation] == "avg_pool":
        return nn.AvgPool2d(kernel, stride, padding=kernel // 2, count_include_pad=False)
    return nn.MaxPool2d(kernel, stride, padding=kernel // 2)


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
    """One operation as a module.

    Args:
        affine: whether batch normalisations have scale and shift (they have not during a DARTS search).
        pool_norm: batch normalisation after a pool: in the DARTS supernet and in retrained MGAS networks.
        c_mid: inner width of a separable convolution, or of a `conv_kx1_1xk`.
        c_first: channels of the first half of a factorised reduction.

    Raises:
        ValueError: unknown operation, or one without filters between different widths.
    """
    if operation not in FAMILY:
        raise ValueError(f"unknown operation '{operation}'; known: {', '.join(FAMILY)}")
    if keeps_width(operation, stride):
        if c_in != c_out:
            raise ValueError(f"{operation} cannot change the width from {c_in} to {c_out} channels")
        return _without_filters(operation, c_out, stride, affine, pool_norm)
    if operation == SKIP:
        return FactorizedReduce(c_in, c_out, affine, c_first)
    kernel = KERNEL[operation]
    match FAMILY[operation]:
        case "sep_conv":
            return SepConv(c_in, c_out, kernel, stride, affine, c_mid)
        case "dil_conv":
            return DilConv(c_in, c_out, kernel, stride, affine)
        case "cross_conv":
            return CrossConv(c_in, c_out, kernel, stride, affine, c_mid)
        case "group_conv":
            return GroupConv(c_in, c_out, stride, affine)
        case _:
            return ReLUConvBN(c_in, c_out, affine, kernel, stride)


def _without_filters(operation: str, width: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
    if operation == NONE:
        return Zero(stride)
    if operation == NOISE:
        return Noise(stride)
    if operation == SKIP:
        return nn.Identity()
    module = pool(operation, stride)
    return nn.Sequential(module, nn.BatchNorm2d(width, affine=affine)) if pool_norm else module
