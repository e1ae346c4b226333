"""Published architectures, shipped as data: one JSON file each, with its source in the provenance."""

from __future__ import annotations

from pathlib import Path

from methods.architecture import Architecture, ArchitectureError

FOLDER = Path(__file__).parent


def published_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def published(name: str) -> Architecture:
    """A published architecture by name.

    Raises:
        ArchitectureError: unknown name; the message lists all.
    """
    if name not in published_names():
        raise ArchitectureError(f"unknown published architecture '{name}'. Known: {', '.join(published_names())}")
    return Architecture.load(FOLDER / f"{name}.json")
