"""Which image sizes a network can be trained on: found by sending a batch through it without computing anything."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.base import ReadsGraphs

FARTHEST, STEP, SHOWN = 256, 8, 6
"""How far around a size that does not work its multiples of `STEP` are tried, and how many that do are named."""


def fits(network: nn.Module, in_channels: int, size: int, images: int = 2) -> bool:
    """Whether a network on the meta device takes square images of this side in training, auxiliary head and all.

    One image (`images`) does not go where a map has one pixel: a batch normalisation then has one value per channel.
    """
    try:
        network.train()(torch.zeros(images, in_channels, size, size, device="meta"))
    except (RuntimeError, ValueError):  # maps that do not meet, a kernel larger than its map, a head for another size
        return False
    return True


def on_meta(architecture: Architecture, settings: NetworkSettings, num_classes: int = 10) -> nn.Module:
    """The network without its numbers: shapes alone. Raises ArchitectureError as `build`."""
    with torch.device("meta"):
        return build(architecture, num_classes, settings)


def refuse_image_size(architecture: Architecture, settings: NetworkSettings, size: int, num_classes: int = 10) -> None:
    """Raise ArchitectureError, with sizes that do work, when a network cannot be trained on images of this side."""
    if isinstance(get_space(architecture.space), ReadsGraphs):
        raise ArchitectureError(
            f"networks of {architecture.space} read graphs, and these are images; name another space, or compare its "
            "designs on graphs (docs/comparisons.md)"
        )
    if fits(on_meta(architecture, settings, num_classes), settings.in_channels, size):
        return
    where = f"images of {size}x{size} pixels do not go through this network with the {settings.stem} stem"
    plain = replace(settings, auxiliary=False)
    sizes = _sizes(architecture, settings, size, num_classes)
    if settings.auxiliary and fits(on_meta(architecture, plain, num_classes), settings.in_channels, size):
        raise ArchitectureError(
            f"{where} and its auxiliary head{sizes}. "
            "Set auxiliary_weight: 0 in the recipe's changes to train without that head"
        )
    raise ArchitectureError(f"{where}{sizes}")


def _sizes(architecture: Architecture, settings: NetworkSettings, size: int, num_classes: int) -> str:
    """The nearest sizes that work, for a message."""
    shallow = replace(settings, channels=4, cells=min(settings.cells, 6))  # every reduction has its followers in six
    network = on_meta(architecture, settings if architecture.scale else shallow, num_classes)
    tried = sorted(range(STEP, size + FARTHEST + 1, STEP), key=lambda other: abs(other - size))[: 2 * FARTHEST // STEP]
    working: list[int] = []
    for other in tried:
        if fits(network, settings.in_channels, other):
            working.append(other)
        if len(working) == SHOWN:
            break
    return f"; sizes that do: {', '.join(map(str, sorted(working)))}" if working else "; no size near it does"
