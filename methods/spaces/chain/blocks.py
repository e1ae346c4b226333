"""The block of mobile networks: an inverted residual, with what its descendants put into it; and its counts.

MobileNetV2 (Sandler et al., CVPR 2018, section 3): expand by 1x1, convolve depthwise, project by 1x1 without an
activation. Squeeze-excitation and hard swish are MobileNetV3's (Howard et al., ICCV 2019, sections 5.2 and 5.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.counts import Convolution
from methods.spaces.chain.notation import Block

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "relu6": F.relu6, "hard_swish": F.hardswish}
SQUEEZE = 4
"""Channels inside of a block for one that its squeeze-excitation looks through."""


def squeezed(inner: int) -> int:
    """Channels of a squeeze-excitation: a quarter, as the nearest multiple of 8 that is not more than 10 % less."""
    wanted = inner / SQUEEZE
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


class SqueezeExcitation(nn.Module):
    """Scales the channels of (batch, channels, h, w) by what their averages say (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed(channels), 1)
        self.expand = nn.Conv2d(squeezed(channels), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class MBConv(nn.Module):
    """Expand by 1x1, convolve depthwise, project by 1x1, with the input added where shapes agree.

    Args:
        expansion: at 1 nothing expands, unless `inner` says so.
        inner: channels inside, where they are not `expansion * c_in`.
        affine: whether normalisations have scale and shift.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        stride: int,
        expansion: int,
        kernel: int,
        *,
        inner: int | None = None,
        activation: str = "relu",
        squeeze: bool = False,
        affine: bool = True,
    ) -> None:
        super().__init__()
        inner = c_in * expansion if inner is None else inner
        self.residual = stride == 1 and c_in == c_out
        self.activation = activation
        self.expand: nn.Conv2d | None = None
        if expansion > 1:
            self.expand = nn.Conv2d(c_in, inner, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(inner, affine=affine)
        self.depthwise = nn.Conv2d(inner, inner, kernel, stride, padding=kernel // 2, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner, affine=affine)
        self.squeeze = SqueezeExcitation(inner) if squeeze else None
        self.project = nn.Conv2d(inner, c_out, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(c_out, affine=affine)

    def transform(self, x: Tensor) -> Tensor:
        """Without the input that is added."""
        activation = ACTIVATIONS[self.activation]
        inner = x if self.expand is None else activation(self.norm1(self.expand(x)))
        inner = activation(self.norm2(self.depthwise(inner)))
        inner = inner if self.squeeze is None else self.squeeze(inner)
        return self.norm3(self.project(inner))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.transform(x)
        return x + inner if self.residual else inner


@dataclass(frozen=True)
class BlockCounts:
    """Of one block, in the words of `methods.parts.counts.total_counts`."""

    convolutions: tuple[Convolution, ...]
    norms: int
    linear: tuple[tuple[int, int], ...]

    @property
    def params(self) -> int:
        weights = sum(layer.weights for layer in self.convolutions)
        return weights + 2 * self.norms + sum((c_in + 1) * out for c_in, out in self.linear)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.convolutions) + sum(c_in * out for c_in, out in self.linear)


def block_counts(block: Block, c_in: int, c_out: int, inner: int, before: int, after: int) -> BlockCounts:
    """Of a block with `inner` channels that turns maps of `before` pixels a side into maps of `after`."""
    expand = (Convolution(c_in * inner, before, before),) if block.expansion > 1 else ()
    rest = Convolution(block.kernel**2 * inner, after, after), Convolution(inner * c_out, after, after)
    looked_through = squeezed(inner)
    return BlockCounts(
        convolutions=(*expand, *rest),
        norms=(len(expand) + 1) * inner + c_out,
        linear=((inner, looked_through), (looked_through, inner)) if block.squeeze else (),
    )
