"""The supernets of spaces, by the space's name: found in the space's folder, which no list has to name.

`supernet.py` there has the `RELAXATIONS` of the folder's spaces, `paths.py` the classes of their one-shot weights as
`SUPERNETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from methods.domain import MethodError
from methods.form import ArchitectureError
from methods.spaces.paths import PathSupernet
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernet_settings import SupernetSettings


def _in_folders(name: str) -> Iterator[Any]:
    """The modules of that name in the folders of spaces."""
    for path in sorted(Path(__file__).parent.glob(f"*/{name}.py")):
        yield import_module(f"methods.spaces.{path.parent.name}.{name}")


RELAXATIONS: dict[str, Relaxation] = {
    relaxed.space: relaxed for module in _in_folders("supernet") for relaxed in module.RELAXATIONS
}
"""Spaces that a gradient search can work in."""
PATHS: dict[str, Callable[[int, SupernetSettings], PathSupernet]] = {
    supernet.space: supernet for module in _in_folders("paths") for supernet in module.SUPERNETS
}
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
