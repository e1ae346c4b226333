"""What commands print and draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from bench.records.directory import Record

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line as it is."""
    console.print(text, markup=False)


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
    from reports.draw import draw

    architecture = Architecture.load(record.path)
    path = _drawn.setdefault(architecture.digest, record.path / "architecture.svg")
    if not path.exists():
        draw(architecture, path)
    return {"architecture.svg": path}


_drawn: dict[str, Path] = {}
"""Where the architectures are drawn, by digest."""
