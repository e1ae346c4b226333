"""Where the figures of a report go, and which files of an earlier report still show what they should."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench.records.directory import write_atomically
from reports.style import DPI, save

DRAWN = ".drawn.json"
"""In a report's folder: {file: [digest of what it shows, digest of the file]} for PNG and PDF."""
PAGE_BYTES = 4_000_000
"""Room for figures in the page; what does not fit is left to its own file."""


@dataclass
class Budget:
    """How many bytes of figures the page still takes."""

    left: int

    def take(self, text: str) -> bool:
        """Whether a figure fits; if so, its size is spent."""
        size = len(text.encode())
        if size > self.left:
            return False
        self.left -= size
        return True


@dataclass
class Output:
    """A report's figures.

    Attributes:
        folder: of the report.
        formats: in which figures become files.
        page: whether there is a page, which shows them as well.
        files: what was written, in order.
        problems: what could not be drawn, one line each.
        drawn: the content of `DRAWN`.
    """

    folder: Path
    formats: Sequence[str]
    page: bool
    files: list[Path]
    problems: list[str]
    room: Budget = field(default_factory=lambda: Budget(PAGE_BYTES))
    drawn: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            found = json.loads((self.folder / DRAWN).read_text())
        except (OSError, ValueError, RecursionError):
            return  # there is none, or none to be believed: everything is drawn
        if isinstance(found, dict):
            self.drawn = {name: known for name, known in found.items() if (self.folder / name).is_file()}

    def save(self, figure: Figure, stem: Path, svg_text: str) -> None:
        """A figure in every format. Equal figures give equal SVG, so that of an unchanged one only that is made."""
        if self.formats:
            stem.parent.mkdir(parents=True, exist_ok=True)
        for suffix in self.formats:
            path = stem.with_name(f"{stem.name}.{suffix}")
            name = path.relative_to(self.folder).as_posix()
            shows = _digest(f"{suffix} {matplotlib.__version__} {DPI}\n{svg_text}".encode())
            if suffix == "svg" or self.drawn.get(name) != [shows, _digest_of(path)]:
                save(figure, stem, [suffix], svg_text)
            if suffix != "svg":
                self.drawn[name] = [shows, _digest_of(path)]
            self.files.append(path)

    def finish(self) -> None:
        """Note what was drawn, for the next report in this folder."""
        if self.drawn:
            write_atomically(self.folder / DRAWN, json.dumps(dict(sorted(self.drawn.items())), indent=0) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str:
    return _digest(path.read_bytes()) if path.is_file() else ""
