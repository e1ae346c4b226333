"""What commands print and draw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from bench.records.directory import Record
    from methods.architecture import Architecture

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line as it is."""
    console.print(text, markup=False)


def counted(number: int, what: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{number} {what}{'s' * (number != 1)}"


def print_report(folders: Sequence[Path], out: Path, formats: Sequence[str] | None = None) -> str:
    """Make the report of what is finished and print its tables; returns them.

    Raises:
        ReportError: nothing is finished, or an unknown format.
    """
    from reports import build

    result = build(folders, out, **({"formats": formats} if formats else {}))
    console.print(result.table, markup=False, soft_wrap=True)
    console.print(f"Report: {out.resolve()}", markup=False)
    return result.table


def picture_of(record: Record) -> dict[str, Path]:
    """A drawing of a run's architecture for MLflow, made beside the first record that has it."""
    from methods.architecture import Architecture

    architecture = Architecture.load(record.path)
    known = _drawn.get(architecture.digest)
    if known is None or not known.exists():
        beside = record.path / "architecture.svg"
        known = _drawn[architecture.digest] = beside if beside.exists() else _draw(architecture, beside)
    return {"architecture.svg": known}


_drawn: dict[str, Path] = {}
"""Where the architectures are drawn, by digest."""


def _draw(architecture: Architecture, beside: Path) -> Path:
    """Beside the record, whole or not at all; where records can only be read, in a folder of this process."""
    from bench.records.atomic import write_whole
    from reports.draw import draw

    drawn = draw(architecture, Path(_own_folder().name) / f"{architecture.digest}.svg")
    try:
        write_whole(beside, drawn.read_bytes())
    except OSError:
        return drawn
    drawn.unlink()
    return beside


@cache
def _own_folder() -> TemporaryDirectory[str]:
    """Removed when this process ends."""
    return TemporaryDirectory(prefix="dasbench-")
