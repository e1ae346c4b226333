"""The supernets of spaces, by the space's name."""

from __future__ import annotations

from collections.abc import Callable

from methods.domain import MethodError
from methods.form import ArchitectureError
from methods.spaces.cell import supernet as cell
from methods.spaces.cell.paths import CellPaths
from methods.spaces.nasbench201 import supernet as nasbench201
from methods.spaces.nasbench201.paths import Paths201
from methods.spaces.paths import PathSupernet
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernet_settings import SupernetSettings

RELAXATIONS = {each.space: each for each in (cell.RELAXATION, nasbench201.RELAXATION)}
"""Spaces that a gradient search can work in."""
PATHS: dict[str, Callable[[int, SupernetSettings], PathSupernet]] = {"darts_cell": CellPaths, "nasbench201": Paths201}
"""Spaces with one-shot weights."""


def relaxation(space: str) -> Relaxation:
    """What a gradient search trains in a space.

    Raises:
        MethodError: the space has no relaxation; the message lists those that have one.
    """
    if space not in RELAXATIONS:
        raise MethodError(f"space={space!r} has no supernet to search in; these spaces have: {', '.join(RELAXATIONS)}")
    return RELAXATIONS[space]


def path_supernet(space: str, num_classes: int, settings: SupernetSettings) -> PathSupernet:
    """New one-shot weights of a space, from torch's global generator.

    Raises:
        ArchitectureError: the space has none, or not with this stem.
    """
    if space not in PATHS:
        raise ArchitectureError(f"'{space}' has no supernet of single paths; these spaces have: {', '.join(PATHS)}")
    return PATHS[space](num_classes, settings)
