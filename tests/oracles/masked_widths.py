"""FBNetV2's masks written out (Wan et al., CVPR 2020, section 3): branches summed, maps scattered pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def branches(weight: Tensor, x: Tensor, gates: Tensor, widths: Sequence[int]) -> Tensor:
    """One convolution for every number of filters, each result padded with zeros, weighted and summed."""
    total = torch.zeros(1)
    for gate, width in zip(gates, widths, strict=True):
        branch = F.conv2d(x, weight[:width], padding=1)
        total = total + gate * F.pad(branch, (0, 0, 0, 0, 0, len(weight) - width))
    return total


def mask(gates: Tensor, widths: Sequence[int]) -> Tensor:
    """M, channel by channel."""
    found = [
        sum(gate for gate, width in zip(gates, widths, strict=True) if channel < width) for channel in range(widths[-1])
    ]
    return torch.stack([torch.as_tensor(each) for each in found])[:, None, None]


def at_every_resolution(run: Callable[[Tensor], Tensor], x: Tensor, sides: Sequence[int], gates: Tensor) -> Tensor:
    """What `run` gives of each sampled map, put back pixel by pixel among zeros."""
    total = torch.zeros(1)
    size = x.shape[-1]
    outputs = []
    for side in sides:
        places = [i * size // side for i in range(side)]
        small = torch.stack([torch.stack([x[:, :, a, b] for b in places], dim=-1) for a in places], dim=-2)
        outputs.append(run(small))
    grid = outputs[-1].shape[-1]
    for gate, found in zip(gates, outputs, strict=True):
        side = found.shape[-1]
        large = torch.zeros(*found.shape[:2], grid, grid)
        for a in range(side):
            for b in range(side):
                large[:, :, a * grid // side, b * grid // side] = found[:, :, a, b]
        total = total + gate * large
    return total


def resnet(network: Any, values: Mapping[str, Sequence[int]], gates: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Logits of a ResNet of `methods.spaces.plain.resnet` at its largest widths, all choices with gates."""
    resolution = gates["resolution"]
    sides = [images.shape[-1] * pixels // 32 for pixels in values["resolution"]]

    def masked(name: str) -> Tensor:
        return mask(gates[name], values[name])

    def through(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return at_every_resolution(run, x, sides, resolution)

    stream = masked("stages.0.width")
    x = through(lambda small: F.relu(network.bn(network.conv(small))) * stream, images)
    for stage, blocks in enumerate(network.stages):
        out = masked(f"stages.{stage}.width")
        for number, block in enumerate(blocks):
            name = f"stages.{stage}.{number}.inside"
            inside = masked(name)
            present = sum(gate for gate, width in zip(gates[name], values[name], strict=True) if width > 0)

            def added(small: Tensor, block: Any = block, inside: Tensor = inside, out: Tensor = out) -> Tensor:
                hidden = F.relu(block.bn1(block.conv1(small))) * inside
                return block.bn2(block.conv2(hidden)) * out

            change = through(added, x) * present
            if isinstance(block.shortcut, nn.Sequential):
                x = through(lambda small, block=block, out=out: block.shortcut(small) * out, x)
                sides = [-(-side // 2) for side in sides]
            x = F.relu(x + change)
    grid = x.shape[-1]
    features = torch.zeros(1)
    for gate, side in zip(resolution, sides, strict=True):
        places = [i * grid // side for i in range(side)]
        features = features + gate * x[:, :, places][..., places].mean((2, 3))
    return network.classifier(features)
