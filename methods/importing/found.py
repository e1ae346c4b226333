"""What a format of other people finds in a text, and what a person has to say that the text does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from methods.architecture import Architecture, ArchitectureError


@dataclass(frozen=True)
class Choices:
    """What a text does not say. None: nothing was said.

    Attributes:
        conventions: the family whose networks are built from the cell (`methods.spaces.cell.conventions.FAMILIES`).
        concat: "all" nodes are joined to the cell's output, or the "loose" ones, which no other node reads.
        channels: initial channels C.
        masks: file of weight masks.
    """

    conventions: str | None = None
    concat: str | None = None
    channels: int | None = None
    masks: Path | None = None

    def only(self, form: str, *names: str) -> None:
        """Raises ArchitectureError if something was said that `form` has no use for."""
        for field in fields(self):
            if getattr(self, field.name) is not None and field.name not in names:
                raise ArchitectureError(f"{form} has no use for --{field.name}; leave it out")


@dataclass(frozen=True)
class Imported:
    """An architecture, and what a person should know about how it was read."""

    architecture: Architecture
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """One architecture in a text, not read yet.

    Attributes:
        name: what the text calls it; None if it has no name there.
        line: where it begins, from 1.
        form: what it is written in, in words.
        key: equal for names that stand for one and the same thing.
        read: gives the architecture; takes its place (for messages) and a person's choices, raises ArchitectureError.
    """

    name: str | None
    line: int
    form: str
    key: object
    read: Callable[[str, Choices], Imported]


@dataclass(frozen=True)
class Format:
    """One way of writing architectures down.

    Attributes:
        name: in words, for the list in an error.
        find: everything of this format in a text; nothing if the text is not of this format.
    """

    name: str
    find: Callable[[str], list[Found]]


def shorten(text: object, length: int = 80) -> str:
    """Text of other people for a message: on one line, printable, not longer than `length`."""
    words = " ".join(str(text).split())
    printable = "".join(c if c.isprintable() else "?" for c in words)
    return printable if len(printable) <= length else printable[: length - 3] + "..."
