"""The spaces that MGAS can prune, by name: found in the folders here, which no list has to name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from methods.base import MethodError
from methods.gradient.mgas.space import PrunableSpace

PRUNABLE: dict[str, PrunableSpace] = {
    each.space: each
    for path in sorted(Path(__file__).parent.glob("*/space.py"))
    for each in import_module(f"methods.gradient.mgas.{path.parent.name}.space").PRUNABLE
}


def prunable(space: str) -> PrunableSpace:
    """What MGAS prunes in a space.

    Raises:
        MethodError: nothing; the message lists the spaces in which there is something.
    """
    if space not in PRUNABLE:
        raise MethodError(f"space={space!r} has no supernet that MGAS could prune; these have: {', '.join(PRUNABLE)}")
    return PRUNABLE[space]
