"""Networks of other spaces that are, built, networks of a space of widths: the same weights under the same names."""

from __future__ import annotations

from methods.architecture import Architecture
from methods.spaces import get_space, space_names
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import Widths


def as_widths(architecture: Architecture) -> tuple[WidthSpace, Widths] | None:
    """The widths of a network and the space that chooses them; None where no space does, or single weights are masked.

    A chain with kernel 3 everywhere is one of `chain_s_widths` and the like, a ResNet with projections of
    `resnet_widths`.
    """
    if architecture.masks:
        return None
    own = get_space(architecture.space)
    if isinstance(own, WidthSpace):
        return own, own.read(architecture)
    for name in space_names():
        space = get_space(name)
        if isinstance(space, WidthSpace) and (found := space.restated(architecture)) is not None:
            return space, found
    return None
