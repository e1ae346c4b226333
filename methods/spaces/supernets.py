"""The supernets of spaces, by the space's name."""

from __future__ import annotations

from collections.abc import Callable

from methods.form import ArchitectureError
from methods.spaces.nasbench201.paths import Paths201
from methods.spaces.paths import PathSupernet
from methods.spaces.supernet_settings import SupernetSettings

PATHS: dict[str, Callable[[int, SupernetSettings], PathSupernet]] = {"nasbench201": Paths201}
"""Spaces with one-shot weights."""


def path_supernet(space: str, num_classes: int, settings: SupernetSettings) -> PathSupernet:
    """New one-shot weights of a space, from torch's global generator.

    Raises:
        ArchitectureError: the space has none.
    """
    if space not in PATHS:
        raise ArchitectureError(f"'{space}' has no supernet of single paths; these spaces have: {', '.join(PATHS)}")
    return PATHS[space](num_classes, settings)
