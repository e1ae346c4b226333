"""Where the figures of a report go, and which files of an earlier report still show what they should."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from bench.records.directory import write_atomically
from reports.forks import in_forks
from reports.style import figure_style, save

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


@dataclass(frozen=True)
class Drawn:
    """A figure as SVG, and how to have it for the other formats."""

    svg: str
    figure: Callable[[], Figure]


Draw = Callable[[], AbstractContextManager[Drawn]]


@dataclass(frozen=True)
class Order:
    """A figure to be there, as `Output.order` says; `kept` is its SVG where nothing has to be drawn."""

    stem: Path
    shows: str
    draw: Draw
    take: Callable[[str], None]
    kept: str | None


@dataclass
class Output:
    """A report's figures: ordered one by one, drawn all together.

    Attributes:
        folder: of the report.
        formats: in which figures become files.
        page: whether there is a page, which shows them as well.
        files: what was written, in order.
        problems: what could not be drawn, one line each.
        drawn: the content of `DRAWN`.
        orders: what is to be drawn.
    """

    folder: Path
    formats: Sequence[str]
    page: bool
    files: list[Path]
    problems: list[str]
    room: Budget = field(default_factory=lambda: Budget(PAGE_BYTES))
    drawn: dict[str, list[str]] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            found = json.loads((self.folder / DRAWN).read_text())
        except (OSError, ValueError, RecursionError):
            return  # there is none, or none to be believed: everything is drawn
        if isinstance(found, dict):
            self.drawn = {name: known for name, known in found.items() if (self.folder / name).is_file()}

    def order(self, stem: Path, shows: str, draw: Draw, take: Callable[[str], None]) -> None:
        """Have a figure in every format by the end of `finish`, which gives its SVG to `take`.

        Args:
            shows: the digest of what it shows (`reports.shown`).
            draw: called within `figure_style`, and only where its files do not all show the same still.
        """
        self.orders.append(Order(stem, shows, draw, take, self._kept(stem, shows)))
        self.files += [self._file(stem, suffix) for suffix in self.formats]

    def finish(self) -> None:
        """Draw what was ordered, and note what each file shows for the next report in this folder."""
        new = iter(in_forks([partial(self._draw, order) for order in self.orders if order.kept is None]))
        for order in self.orders:
            text, written = next(new) if order.kept is None else (order.kept, {})
            self.drawn |= written
            order.take(text)
        if self.drawn:
            write_atomically(self.folder / DRAWN, json.dumps(dict(sorted(self.drawn.items())), indent=0) + "\n")

    def _kept(self, stem: Path, shows: str) -> str | None:
        """The SVG of a figure whose files of an earlier report all show the same still; None if it has to be drawn."""
        files = [self._file(stem, suffix) for suffix in self.formats]
        if "svg" not in self.formats or not all(self._is(path, shows) for path in files):
            return None
        return self._file(stem, "svg").read_text().removesuffix("\n")

    def _draw(self, order: Order) -> tuple[str, dict[str, list[str]]]:
        """A figure's SVG, and what to note of the files that are written: those that show something else."""
        with figure_style(), order.draw() as drawn:
            return drawn.svg, {self._name(path): self._written(path, order, drawn) for path in self._changed(order)}

    def _changed(self, order: Order) -> list[Path]:
        files = [self._file(order.stem, suffix) for suffix in self.formats]
        return [path for path in files if not self._is(path, order.shows)]

    def _written(self, path: Path, order: Order, drawn: Drawn) -> list[str]:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, drawn)
        return [order.shows, _digest_of(path)]

    def _file(self, stem: Path, suffix: str) -> Path:
        return stem.with_name(f"{stem.name}.{suffix}")

    def _is(self, path: Path, shows: str) -> bool:
        """Whether a file is the one that was made when it showed this."""
        return self.drawn.get(self._name(path)) == [shows, _digest_of(path)]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def write(path: Path, drawn: Drawn) -> None:
    """A file of a figure, in the format of its name; the figure is asked for where the SVG does not do."""
    if path.suffix == ".svg":
        path.write_text(drawn.svg + "\n")
    else:
        save(drawn.figure(), path)


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
