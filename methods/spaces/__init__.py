"""Search spaces by name: what can be built, sampled and validated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import check_sizes
from methods.spaces.base import NetworkSettings, Space
from methods.spaces.registry import get_space, register_space, space_names

if TYPE_CHECKING:  # who reads a genotype needs no torch
    from torch import nn


def build(architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
    """Validate an architecture and build its network; masks are not applied (the trainer keeps them exact).

    Raises:
        ArchitectureError: it is malformed, cannot be built at this size, or has a mask that fits no parameter.
    """
    space = get_space(architecture.space)
    architecture = at_scale(architecture, settings)
    check_sizes(architecture.scale, architecture.widths)
    check_sizes({"channels": settings.channels, "cells": settings.cells}, {}, "settings")
    space.validate(architecture)
    network = space.build(architecture, num_classes, settings)
    refuse_masks_that_do_not_fit(architecture, network)
    return network


def at_scale(architecture: Architecture, settings: NetworkSettings) -> Architecture:
    """The architecture with the scale that an experiment gives to those of its space that state none."""
    given = settings.scales.get(architecture.space)
    return replace(architecture, scale=given) if given and not architecture.scale else architecture


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


__all__ = ["NetworkSettings", "Space", "at_scale", "build", "get_space", "register_space", "space_names"]
