"""The supernets of spaces, by the space's name: found in the space's folder, which no list has to name.

`supernet.py` there has the `RELAXATIONS` of the folder's spaces, `paths.py` the classes of their one-shot weights as
`SUPERNETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
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


def refuse_other_sizes(options: Any, space: str) -> None:
    """Raises MethodError for a size among a method's options, unlike its default, that the space's supernet has not; or
    for too few cells."""
    relaxed = relaxation(space)
    refuse_sizes(options, space, relaxed.size)
    if "cells" in relaxed.size and options.cells < relaxed.cells:
        raise MethodError(
            f"cells={options.cells} leaves a stage of {space} without a cell of its own; give at least {relaxed.cells}"
        )


def refuse_sizes(options: Any, space: str, size: Sequence[str]) -> None:
    """Raises MethodError for a size among a method's options, unlike its default, that is none of a supernet's."""
    usual = {each.name: each.default for each in fields(options)}
    given_by = f"given by {' and '.join(size)}" if size else "that of the space"
    for name in ("channels", "cells", "cells_per_stage"):
        if name in usual and name not in size and getattr(options, name) != usual[name]:
            raise MethodError(
                f"{name}={getattr(options, name)} says nothing of a supernet of {space}: its size is {given_by}; "
                f"leave {name} at {usual[name]}"
            )


def path_supernet(space: str, num_classes: int, settings: SupernetSettings) -> PathSupernet:
    """New one-shot weights of a space, from torch's global generator.

    Raises:
        ArchitectureError: the space has none, or not with this stem.
    """
    if space not in PATHS:
        raise ArchitectureError(f"'{space}' has no supernet of single paths; these spaces have: {', '.join(PATHS)}")
    return PATHS[space](num_classes, settings)
