"""Search spaces by name: what can be built, sampled and validated."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Protocol

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import check_sizes
from methods.spaces.cell.layout import NetworkSettings
from methods.spaces.decisions import DecisionSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

    from methods.parts.counts import NetworkCounts


class Space(DecisionSpace, Protocol):
    """What the harness needs of a search space: its name, its decisions (`methods.spaces.decisions`), its networks."""

    def validate(self, architecture: Architecture) -> None:
        """Raise ArchitectureError with the cause if the architecture is not of this space."""

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """The physically small network. `forward` gives logits, or (logits, auxiliary logits) in training."""

    def sample(self, generator: torch.Generator) -> Architecture:
        """An architecture drawn uniformly from the space, where it has decisions."""

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives for a square image, in closed form."""


SPACES = {
    "darts_cell": "a normal and a reduction cell of 4 nodes, 2 inputs a node, 7 operations (DARTS)",
    "dense_cell": "every cell its own, any number of DARTS' operations into a node, scale and filters fixed (MGAS)",
    "general_cell": "cells of any shape over the operations of published cells (NASNet, AmoebaNet, PNASNet, ...)",
    "nasbench201": "one of 5 operations on each of 6 edges, 15,625 cells in networks of fixed size, each trained",
    "nasbench_macro": "a chain of 8 blocks, 3 choices for each: 6,561 networks of fixed size, each trained",
    "resnet": "plain residual networks for CIFAR, depth 6n + 2, width of each layer free",
    "vgg": "VGG-11, -13, -16 and -19 with batch normalisation, width of each layer free",
}
"""What a list says of every space."""


@cache
def _spaces() -> dict[str, Space]:
    """Loaded with the first space that is asked for: what only reads a genotype needs no torch."""
    from methods.spaces.cell.conventions import MGAS
    from methods.spaces.cell.general import GeneralCellSpace
    from methods.spaces.cell.space import CellSpace
    from methods.spaces.chain.nasbench_macro import NASBenchMacroSpace
    from methods.spaces.nasbench201.space import NASBench201Space
    from methods.spaces.plain.resnet import ResNetSpace
    from methods.spaces.plain.vgg import VGGSpace

    spaces: list[Space] = [
        CellSpace("darts_cell"),
        CellSpace("dense_cell", MGAS, max_inputs=None),
        GeneralCellSpace(),
        NASBench201Space(),
        NASBenchMacroSpace(),
        ResNetSpace(),
        VGGSpace(),
    ]
    return {space.name: space for space in spaces}


def space_names() -> tuple[str, ...]:
    """Every registered space."""
    return tuple(_spaces())


def get_space(name: str) -> Space:
    """The space called `name`.

    Raises:
        ArchitectureError: unknown; the message names the nearest and lists all.
    """
    spaces = _spaces()
    if name not in spaces:
        near = difflib.get_close_matches(name, spaces, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ArchitectureError(f"unknown search space '{name}'{hint} Known spaces: {', '.join(spaces)}")
    return spaces[name]


def build(architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
    """Validate an architecture and build its network; masks are not applied (the trainer keeps them exact).

    Raises:
        ArchitectureError: it is malformed, cannot be built at this size, or has a mask that fits no parameter.
    """
    check_sizes(architecture.scale, architecture.widths)
    check_sizes({"channels": settings.channels, "cells": settings.cells}, {}, "settings")
    space = get_space(architecture.space)
    space.validate(architecture)
    network = space.build(architecture, num_classes, settings)
    refuse_masks_that_do_not_fit(architecture, network)
    return network


def refuse_masks_that_do_not_fit(architecture: Architecture, network: nn.Module) -> None:
    """Raises ArchitectureError for a mask of a parameter that the network does not have, or has in another shape."""
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    for name, mask in architecture.masks.items():
        if shapes.get(name) != tuple(mask.shape):
            found = f"that parameter has {shapes[name]}" if name in shapes else "there is no such parameter"
            raise ArchitectureError(
                f"the mask of {shown(name)} has the shape {tuple(mask.shape)}, and in the network {found}; the scale "
                "(channels, cells) may be another than the masks were made for"
            )


__all__ = ["NetworkSettings", "Space", "build", "get_space", "space_names"]
