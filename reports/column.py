"""One column of a table: heading, meaning, and how a cell is written for people and for machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reports.analysis import Entry

GIB = 1024.0**3
NOT_APPLICABLE = "–"


@dataclass(frozen=True)
class Column:
    """One column: its key in CSV, the heading (two lines), and how a cell is written.

    Attributes:
        show: text for people; "" where nothing was measured.
        raw: full precision for CSV and for sorting.
        left: aligned to the left.
        paper: only in tables of the profile `paper`.
        wide: only where there is room (page, CSV, Markdown), not in a terminal or on paper.
        detail: folded away where the page is narrow, and printed in a table of its own.
        help: what the number is, for a legend.
        applies: whether a row can have such a number at all; a published cell has no spread between searches.
    """

    key: str
    heading: tuple[str, str]
    show: Callable[[Entry], str]
    raw: Callable[[Entry], object]
    help: str = ""
    left: bool = False
    paper: bool = False
    wide: bool = False
    detail: bool = False
    applies: Callable[[Entry], bool] = lambda entry: True

    def text(self, entry: Entry) -> str:
        """The cell for people: an en dash where a row can have no such number, empty where none was measured."""
        return self.show(entry) if self.applies(entry) else NOT_APPLICABLE


def fixed(value: float | None, digits: int, scale: float = 1.0, sign: bool = False) -> str:
    return "" if value is None else f"{value / scale:{'+' if sign else ''}.{digits}f}"


def counted(value: float | None) -> str:
    """Millions, to three or four significant digits."""
    if value is None:
        return ""
    return f"{value / 1e6:.{0 if value >= 1e8 else 2 if value >= 1e6 else 3}f}"


def hours(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def gib(value: float | None) -> str:
    return "" if value is None else f"{value / GIB:.2f}"
