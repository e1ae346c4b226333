"""How figures look: one colour and marker per method everywhere, readable without colour vision, light and dark.

Colours alone cannot tell fifteen methods apart, so that markers differ as well, and labels stand beside the points.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from reports.colours import COLOURS, GRID, INK, MUTED, PAPER
from reports.rows import FINE_TUNED
from reports.xml import as_xml, printable

DPI = 200
"""Of figures saved as PNG."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")
LINES = ("-", "--", "-.", ":")
USUAL = ("random", "darts", "darts-2nd", "pc-darts", "mgas-small", "mgas-large", "DARTS_V2", "l1-filters")
"""Names with a place of their own, so that a method keeps its colour from one report to the next."""

_THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}


class Palette:
    """Colour and marker by method name."""

    def __init__(self, names: Iterable[str]) -> None:
        names = {_method(name) for name in names}
        known = {_plain(name): index for index, name in enumerate(USUAL)}
        taken = {known[_plain(name)] for name in names if _plain(name) in known}
        free = (index for index in range(10_000) if index not in taken)
        self._index = {name: known[_plain(name)] if _plain(name) in known else next(free) for name in sorted(names)}

    def colour(self, name: str) -> str:
        return COLOURS[self._index[_method(name)] % len(COLOURS)]

    def marker(self, name: str) -> str:
        index = self._index[_method(name)]
        return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]

    def line(self, name: str) -> str:
        """A line style: rows that share a colour differ in it, up to 32 rows."""
        return LINES[self._index[_method(name)] // len(COLOURS) % len(LINES)]

    def look(self, name: str) -> tuple[str, str, str]:
        """All that tells a name's marks from another's."""
        return self.colour(name), self.marker(name), self.line(name)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _method(name: str) -> str:
    """A fine-tuned row has the colour of its method."""
    return name.removesuffix(FINE_TUNED)


@contextmanager
def figure_style() -> Iterator[None]:
    """A white ground with a grid, in our colours; text in SVG stays text, and equal input gives equal files."""
    with plt.rc_context(
        {
            "axes.axisbelow": True,
            "axes.grid": True,
            "lines.solid_capstyle": "round",
            "patch.edgecolor": PAPER,
            "patch.force_edgecolor": True,
            "xtick.bottom": False,
            "ytick.left": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "dasbench",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titley": 1.0,  # said, so that it is not looked for at each drawing; nothing stands above our axes
            "axes.labelcolor": INK,
            "axes.edgecolor": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "figure.facecolor": PAPER,
            "axes.facecolor": "none",
            "savefig.facecolor": PAPER,
            "legend.frameon": False,
        }
    ):  # fmt: skip
        yield


def freeze(figure: Figure) -> None:
    """Lay the figure out once and keep it so: every later drawing of it is faster, and text stays where it was put."""
    if isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
        return  # it is frozen
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        for axis, across in ((axes.xaxis, True), (axes.yaxis, False)):
            x, y = axis.label.get_position()  # along the axis as a part of it, across in pixels
            inside = axes.transAxes.inverted().transform((x, y))
            axis.set_label_coords(*((x, inside[1]) if across else (inside[0], y)))


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG (`DPI`) or PDF, as the file's suffix says."""
    if path.suffix == ".pdf":
        from matplotlib.backends.backend_pdf import FigureCanvasPdf  # half of what matplotlib takes to import

        with _at(figure, 72):
            FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None})
    else:
        with _at(figure, DPI):
            _png(figure, path)


def _png(figure: Figure, path: Path) -> None:
    """Without an alpha channel, and packed quickly: a tenth larger than packed as well as can be, in half the time."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.save(path, compress_level=3, dpi=(figure.dpi, figure.dpi))


@contextmanager
def _at(figure: Figure, dpi: float) -> Iterator[None]:
    """The canvases are called themselves: `Figure.savefig` draws everything once more before it does."""
    usual = figure.dpi
    figure.dpi = dpi
    try:
        yield
    finally:
        figure.dpi = usual


def svg(figure: Figure, name: str, description: str) -> str:
    """A figure as an SVG element with hover titles, and ids that no other figure uses.

    Artists given a gid `tip:<text>` show that text when the pointer rests on them.
    """
    out = io.StringIO()
    with _at(figure, 72):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    text = out.getvalue()
    text = printable(text[text.index("<svg") :].rstrip())
    name = re.sub(r"[^\w-]", "_", name)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"""<g id=(["'])tip:(.*?)\1>""", r'<g class="tip"><title>\2</title>', text)
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), text)  # coordinates, never text
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{as_xml(description)}" ', text, count=1)


def themed(text: str) -> str:
    """An SVG for the page: of flexible width, text, grid and ground in the colours of the page's theme."""
    for colour, variable in _THEMED.items():
        text = text.replace(colour, variable)
    head, rest = text.split(">", 1)
    width = float(re.findall(r' width="([0-9.]+)pt"', head)[0])
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} style="width: {width:.0f}pt">{rest}'
