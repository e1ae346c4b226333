"""Convolutions that bring an input to a cell's width, alone or as an operation, and which channels go with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.convolution import StridedPointwise, pixels_of
from methods.spaces.channels import ChannelMap


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
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(pixels_of(x, first=1))], dim=1))


def project(channels: ChannelMap, path: str, inputs: Sequence[str], output: str) -> None:
    """A convolution of a concatenation, plain or in the two halves of a factorised reduction."""
    module = channels.network.get_submodule(path)
    if isinstance(module, FactorizedReduce):
        channels.consume(f"{path}.conv_1", inputs)
        channels.consume(f"{path}.conv_2", inputs)
        first = channels.produce(f"{path}.conv_1", output)
        channels.produce(f"{path}.conv_2", output, first)
        channels.norm(f"{path}.bn", output)
        channels.split(f"{output}.first", output, first)
    else:
        assert isinstance(module, ReLUConvBN)
        convolved(channels, path, 1, inputs, output)


def convolved(channels: ChannelMap, path: str, place: int, inputs: Sequence[str], output: str) -> None:
    """The convolution that is the module at `place` of a sequence, and its normalisation after it."""
    channels.consume(f"{path}.{place}", inputs)
    channels.produce(f"{path}.{place}", output)
    channels.norm(f"{path}.{place + 1}", output)
