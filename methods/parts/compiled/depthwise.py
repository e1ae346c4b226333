"""The weight gradient of a depthwise convolution, the part of it for which libraries have no fast kernel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods.parts.compiled.layout import rows
from methods.parts.compiled.loops.depthwise import add_taps


def depthwise_weight_gradient(x: Tensor, gradient: Tensor, kernel: int, dilation: int) -> Tensor:
    """(channels, 1, kernel, kernel), of stride 1 and a padding that keeps the size; x, gradient: as the convolution's.

    Sums are taken over the batch and the rows first, for every pixel of a row on its own.
    """
    _, channels, _, width = x.shape
    seen = rows(x)
    sums = np.zeros((kernel, kernel, width * channels), seen.dtype)
    add_taps(seen, rows(gradient), channels, dilation, sums)
    by_channel = torch.from_numpy(sums).view(kernel, kernel, width, channels).sum(dim=2)
    return by_channel.permute(2, 0, 1).unsqueeze(1).contiguous()
