"""What every figure is, before it is drawn to files and into the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from reports.style import freeze


@dataclass
class Plot:
    """A figure with the name of its file, a title for the page and a text for those who cannot see it.

    Attributes:
        make: draws it; called where it is asked for, and not at all while its files still show the same.
        shows: everything that `make` reads: names, numbers, arrays and dataclasses of them (`reports.shown`).
        wide: it takes the whole width of the page.
    """

    name: str
    title: str
    caption: str
    make: Callable[[], Figure]
    shows: object
    wide: bool = False

    @cached_property
    def figure(self) -> Figure:
        """Drawn once, and laid out; whoever asked closes it."""
        figure = self.make()
        freeze(figure)
        return figure

    def close(self) -> None:
        if "figure" in vars(self):
            plt.close(self.figure)


def millions(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def tip(text: str) -> str:
    """The gid of an artist that shows a text when the pointer rests on it (`reports.style.svg`)."""
    return "tip:" + text
