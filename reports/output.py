"""Where the figures of a report go, and which files of an earlier report still show what they should."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from bench.records.directory import write_atomically
from reports.style import save

DRAWN = ".drawn.json"
"""In a report's folder: {file: [digest of what it shows, digest of the file]}."""
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

    def kept(self, stem: Path, shows: str) -> str | None:
        """The SVG of a figure whose files of an earlier report all show the same still; None if it has to be drawn.

        Args:
            shows: the digest of what it shows (`reports.shown`).
        """
        files = [self._file(stem, suffix) for suffix in self.formats]
        if "svg" not in self.formats or not all(self._is(path, shows) for path in files):
            return None
        self.files += files
        return self._file(stem, "svg").read_text().removesuffix("\n")

    def save(self, figure: Callable[[], Figure], stem: Path, svg_text: str, shows: str) -> None:
        """A figure in every format, but for files that show the same still."""
        if self.formats:
            stem.parent.mkdir(parents=True, exist_ok=True)
        for suffix in self.formats:
            path = self._file(stem, suffix)
            if not self._is(path, shows):
                write(path, figure, svg_text)
                self.drawn[path.relative_to(self.folder).as_posix()] = [shows, _digest_of(path)]
            self.files.append(path)

    def _file(self, stem: Path, suffix: str) -> Path:
        return stem.with_name(f"{stem.name}.{suffix}")

    def _is(self, path: Path, shows: str) -> bool:
        """Whether a file is the one that was made when it showed this."""
        return self.drawn.get(path.relative_to(self.folder).as_posix()) == [shows, _digest_of(path)]

    def finish(self) -> None:
        """Note what was drawn, for the next report in this folder."""
        if self.drawn:
            write_atomically(self.folder / DRAWN, json.dumps(dict(sorted(self.drawn.items())), indent=0) + "\n")


def write(path: Path, figure: Callable[[], Figure], svg_text: str) -> None:
    """A file of a figure, in the format of its name; the figure is asked for where the SVG does not do."""
    if path.suffix == ".svg":
        path.write_text(svg_text + "\n")
    else:
        save(figure(), path)


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
