"""The convolutions of a supernet's candidates, for several edges at once.

On a CPU, oneDNN has fast kernels for depthwise convolutions in channels-last memory only, and of their backward passes
only for undilated kernels up to three columns wide; everything else falls to reference code that is 5 to 25 times
slower. `depthwise` therefore writes the backward pass in terms of what is fast:

    input gradient, stride 1      a forward convolution with the flipped kernel
    weight gradient, 5 columns    a kernel of three columns beside one of two
    weight gradient, dilation 2   an undilated one on the four sub-images of even and odd rows and columns

Where a processor or a build of torch has other kernels, other choices may be faster (`methods.parts.cpu_choices`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from methods.parts import compiled
from methods.parts.cpu_choices import chosen

FAST_COLUMNS = 3
"""Widest kernel for which oneDNN's depthwise weight gradient is fast."""

NARROW = 16
"""Fewer input channels than this may be fewer than one vector of a processor holds (AVX-512: 16 floats)."""


def in_memory_format(x: Tensor) -> Tensor:
    """The same (batch, channels, h, w), on a CPU in the chosen memory format."""
    return x.contiguous(memory_format=chosen().torch_format) if x.device.type == "cpu" else x


def pixels_of(x: Tensor, first: int = 0, step: int = 1) -> Tensor:
    """`x[:, :, first::step, first::step]`; on a CPU the gradient comes back as channels-last memory has it, too."""
    if x.device.type != "cpu":
        return x[:, :, first::step, first::step]
    return x.permute(0, 2, 3, 1)[:, first::step, first::step].permute(0, 3, 1, 2)


def split_channels(x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """`x.split(sizes, dim=1)`; on a CPU the gradients are put together as channels-last memory has them, too."""
    if x.device.type != "cpu":
        return list(x.split(sizes, dim=1))
    return [part.permute(0, 3, 1, 2) for part in x.permute(0, 2, 3, 1).split(sizes, dim=3)]


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Depthwise convolution with zero padding that keeps the size at stride 1.

    Args:
        x: (batch, channels, h, w).
        weight: (channels, 1, k, k), k odd.
        dilation: 1 or 2; at 2 only with stride 1.
    """
    if x.device.type == "cpu" and (weight.shape[-1], stride, dilation) not in chosen().native:
        if torch.is_autocast_enabled("cpu"):  # which casts what torch computes forwards, and not what is written here
            x, weight = (each.to(torch.get_autocast_dtype("cpu")) for each in (x, weight))
        return _Depthwise.apply(x, weight, stride, dilation)
    return _convolve(x, weight, stride, dilation)


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """1x1 convolution, one for each edge.

    Args:
        x: (batch, edges * channels, h, w).
        weight: (edges, channels out, channels in).
    """
    edges, c_out, c_in = weight.shape
    if c_out == c_in and compiled.usable(x) and x.requires_grad:
        from methods.parts.compiled.pointwise import MOST, narrow_pointwise

        if c_in <= MOST:
            return narrow_pointwise(x, weight)
    if x.device.type == "cpu":
        return F.conv2d(x, weight.reshape(edges * c_out, c_in, 1, 1), groups=edges)
    height, width = x.shape[2:]
    return (weight @ x.reshape(len(x), edges, c_in, height * width)).view(len(x), edges * c_out, height, width)


def strided_pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """1x1 convolution with stride 2.

    In channels-last memory, oneDNN's own (seen in torch 2.15 on a processor with AVX2) writes past the end of its
    buffer where the input has fewer channels than a vector holds, and the process dies now or later. There the pixels
    that it would see are picked out first, which gives the same values.

    Args:
        x: (batch, channels in, h, w).
        weight: (channels out, channels in, 1, 1); no channels out, which torch refuses, are what is left of a half of a
            factorised reduction that lost all of its filters.
    """
    if not len(weight):
        return pixels_of(x[:, :0], step=2) + weight.sum()
    if x.device.type == "cpu" and x.shape[1] < NARROW:
        return F.conv2d(pixels_of(x, step=2), weight)
    return F.conv2d(x, weight, stride=2)


class StridedPointwise(nn.Conv2d):
    """`strided_pointwise` as a layer."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1, stride=2, bias=False)

    def reset_parameters(self) -> None:
        if self.out_channels:  # torch warns of nothing to initialise
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return strided_pointwise(input, self.weight)


def _convolve(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, None, stride, padding, dilation, groups=x.shape[1])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return _convolve(x, weight, stride, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = in_memory_format(gradient)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(x, weight, gradient, ctx.stride, ctx.dilation)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, gradient, weight.shape[-1], ctx.stride, ctx.dilation)
        return grad_x, grad_weight, None, None


def _input_gradient(x: Tensor, weight: Tensor, gradient: Tensor, stride: int, dilation: int) -> Tensor:
    if stride == 1:
        return _convolve(gradient, weight.flip(2, 3), 1, dilation)
    # Of `x` itself, not of its shape as `torch.nn.grad` has it: torch takes the memory format from the tensor.
    sides = [[stride] * 2, [weight.shape[-1] // 2] * 2, [1, 1]]
    mask = [True, False, False]
    return torch.ops.aten.convolution_backward(gradient, x, weight, None, *sides, False, [0, 0], x.shape[1], mask)[0]


def _weight_gradient(x: Tensor, gradient: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    if stride == 1 and compiled.usable(x):
        from methods.parts.compiled.depthwise import depthwise_weight_gradient

        return depthwise_weight_gradient(x, gradient, kernel, dilation)
    if dilation == 2:
        x, gradient = _sub_images(x), _sub_images(gradient)
    return _by_columns(x, gradient, kernel, stride)


def _by_columns(x: Tensor, gradient: Tensor, kernel: int, stride: int) -> Tensor:
    """The weight gradient of an undilated depthwise convolution, `FAST_COLUMNS` columns of the kernel at a time.

    The columns from `first` on see the padded image without its first `first` columns. It is padded here because oneDNN
    is slow, too, where the padding is more than half the width of a kernel or half of the image.
    """
    channels, padding = x.shape[1], kernel // 2
    if kernel <= FAST_COLUMNS:
        return conv2d_weight(x, (channels, 1, kernel, kernel), gradient, stride, padding, groups=channels)
    padded, span = F.pad(x, [padding] * 4), stride * (gradient.shape[3] - 1)
    parts = []
    for first in range(0, kernel, FAST_COLUMNS):
        columns = min(FAST_COLUMNS, kernel - first)
        seen = padded[..., first : first + span + columns]
        shape = (channels, 1, kernel, columns)
        parts.append(conv2d_weight(seen, shape, gradient, stride, groups=channels))
    return torch.cat(parts, dim=3)


def _sub_images(x: Tensor) -> Tensor:
    """(batch, channels, h, w) -> (4 batch, channels, ceil(h / 2), ceil(w / 2)): even and odd rows and columns apart."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    batch, channels, height, width = x.shape
    x = x.view(batch, channels, height // 2, 2, width // 2, 2)
    if chosen().memory_format == "contiguous":
        return x.permute(3, 5, 0, 1, 2, 4).reshape(4 * batch, channels, height // 2, width // 2)
    return x.permute(3, 5, 0, 2, 4, 1).reshape(4 * batch, height // 2, width // 2, channels).permute(0, 3, 1, 2)
