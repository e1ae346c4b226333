"""The candidates of a cell as modules, of layers with units that can go (`methods.gradient.mgas.layers`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.gradient.mgas.layers import Affine, GatedNorm, MaskableConv, new_weight
from methods.parts.convolution import depthwise, in_memory_format, pixels_of, strided_pointwise
from methods.parts.pooling import average_pool, max_pool
from methods.spaces.operations import AVG_POOL, KNOWN, SEPARABLE


class ConvolutionOperation(nn.Module):
    """A separable (two applications) or dilated (one application) convolution.

    Attributes:
        halved_input: it reads only the even rows and columns of its input.
        convs: depthwise, pointwise [, depthwise, pointwise].
        norms: one after every pointwise convolution, with its filter gate.
    """

    convs: Sequence[MaskableConv]
    norms: Sequence[GatedNorm]

    def __init__(
        self,
        operation: str,
        widths: tuple[int, ...],
        stride: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        kernel, dilated = KNOWN[operation].kernel, operation not in SEPARABLE
        # With stride 2, dilation 2 sees only even rows and columns: an undilated convolution of those.
        self.halved_input = dilated and stride == 2
        self.stride = 1 if dilated else stride
        self.dilation = 2 if dilated and stride == 1 else 1
        convs, norms = nn.ModuleList(), nn.ModuleList()
        for c_in, c_out in itertools.pairwise(widths):
            convs.append(MaskableConv((c_in, 1, kernel, kernel), generator))
            convs.append(MaskableConv((c_out, c_in, 1, 1), generator))
            norms.append(GatedNorm(c_out))
        self.convs, self.norms = convs, norms  # type: ignore[assignment]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels in [, in the middle], out."""
        return len(self.convs[0].weight), *(norm.channels for norm in self.norms)

    def forward(self, rectified: Tensor, weights: list[Tensor], affines: list[Affine]) -> Tensor:
        """From relu(state) to the operation's output, with the weights and gates of this step.

        Args:
            rectified: its even rows and columns, where `halved_input`.
        """
        x, stride = rectified, self.stride
        for n, norm in enumerate(self.norms):
            if n:
                x, stride = F.relu(x), 1
            x = depthwise(x, weights[2 * n], stride, self.dilation)
            x = norm(F.conv2d(x, weights[2 * n + 1]), affines[n])
        return x


class Reduction(nn.Module):
    """FactorizedReduce with a gate: halve height and width by two 1x1 stride-2 convolutions, the second shifted.

    `gate_first` is the released code's order, in which the gate stands before the normalisation, which then cancels
    its scale.
    """

    def __init__(self, c_in: int, c_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        half = c_out // 2
        self.conv_1 = nn.ParameterDict({"weight": new_weight((half, c_in, 1, 1), generator)})
        self.conv_2 = nn.ParameterDict({"weight": new_weight((c_out - half, c_in, 1, 1), generator)})
        self.norm = GatedNorm(c_out)

    @property
    def widths(self) -> tuple[int, int]:
        return self.conv_1["weight"].shape[1], self.norm.channels

    @property
    def halves(self) -> tuple[int, int]:
        """Channels made by each of the two convolutions."""
        return len(self.conv_1["weight"]), len(self.conv_2["weight"])

    def forward(self, rectified: Tensor, affine: Affine, gate_first: Tensor | None = None) -> Tensor:
        first = strided_pointwise(rectified, self.conv_1["weight"])
        second = strided_pointwise(pixels_of(rectified, first=1), self.conv_2["weight"])
        x = torch.cat([first, second], dim=1)
        if gate_first is not None:
            x = x * gate_first.to(x.dtype)[:, None, None]
        return self.norm(x, affine)


class Pointwise(nn.Module):
    """1x1 convolution and gated normalisation: a cell's preprocessing of an input of its own resolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.ParameterDict({"weight": new_weight((c_out, c_in, 1, 1))})
        self.norm = GatedNorm(c_out)

    @property
    def widths(self) -> tuple[int, int]:
        return self.conv["weight"].shape[1], self.norm.channels

    def forward(self, rectified: Tensor, affine: Affine) -> Tensor:
        return self.norm(F.conv2d(rectified, self.conv["weight"]), affine)


class SharedInputs:
    """ReLU, its even rows and columns, and pools of a cell's states, computed once for all the edges that need them."""

    def __init__(self, states: list[Tensor]) -> None:
        self.states = states
        self.known: dict[tuple[int, str], Tensor] = {}

    def rectified(self, source: int) -> Tensor:
        if (source, "relu") not in self.known:
            self.known[source, "relu"] = F.relu(self.states[source])
        return self.known[source, "relu"]

    def halved(self, source: int) -> Tensor:
        """Even rows and columns of the rectified state."""
        if (source, "halved") not in self.known:
            halved = pixels_of(self.rectified(source), step=2)
            self.known[source, "halved"] = (
                in_memory_format(halved) if halved.device.type == "cpu" else halved.contiguous()
            )
        return self.known[source, "halved"]

    def pooled(self, source: int, operation: str, stride: int) -> Tensor:
        """3x3 pooling, padding 1; all edges from one state have one stride."""
        if (source, operation) not in self.known:
            state = self.states[source]
            pool = average_pool if operation == AVG_POOL else max_pool
            self.known[source, operation] = pool(state, 3, stride)
        return self.known[source, operation]
