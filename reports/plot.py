"""What every figure is, before it is drawn to files and into the page."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass
class Plot:
    """A figure with the name of its file, a title for the page and a text for those who cannot see it.

    `wide`: it takes the whole width of the page.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False


def millions(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def tip(text: str) -> str:
    """The gid of an artist that shows a text when the pointer rests on it (`reports.style.svg`)."""
    return "tip:" + text
