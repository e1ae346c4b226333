"""Figures of searches under a cost: predicted against measured latency, expected against discrete cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.analysis import Table
from reports.colours import MUTED
from reports.curves import Curve
from reports.heeded import LATENCY, Heeded, heeded
from reports.plot import Plot, tip
from reports.style import Palette
from reports.watched import PANELS, draw_curves

EXPECTED, DISCRETE = "cost/expected", "cost/discrete"


def predictions(table: Table, palette: Palette) -> Plot | None:
    """Of searches that heeded a latency, where their networks were measured."""
    found = [one for one in heeded(table) if one.on == LATENCY and one.measured is not None]
    if not found:
        return None
    caption = (
        "What the predictor of a search says of the network that it found, against the measured latency, "
        f"{found[0].unit}: of the network as trained, without its weights. Dashed: both are equal."
    )
    make, looks = partial(_draw_points, found, palette), [palette.look(one.row) for one in found]
    return Plot("latency-predicted", "Predicted against measured latency", caption, make, (found, looks))


def _draw_points(points: Sequence[Heeded], palette: Palette) -> Figure:
    figure, axes = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    for name in dict.fromkeys(point.row for point in points):
        own = [point for point in points if point.row == name]
        for place, point in enumerate(own):
            dot = axes.plot(
                point.found, point.value, palette.marker(name), color=palette.colour(name), ms=6,
                label=name if place == 0 else None,
            )  # fmt: skip
            said = f"predicted {point.value:.4g} ms, measured {point.found:.4g} ms"
            dot[0].set_gid(tip(f"{name}, search seed {point.seed}: {said}"))
    values = [value for point in points for value in (point.value, point.found)]
    axes.plot([min(values), max(values)], [min(values), max(values)], color=MUTED, lw=1, ls="--", zorder=1)
    axes.set_xlabel("measured (ms)")
    axes.set_ylabel("predicted (ms)")
    axes.legend()
    return figure


def costs_of_searches(curves: Mapping[str, Sequence[Curve]], palette: Palette) -> Plot | None:
    """The relaxation gap: what a search expects by its gates, and what would be derived, by epoch."""
    shown = {
        row: kept
        for row, found in curves.items()
        if (kept := [curve for curve in found if all(_is_line(curve, name) for name in (EXPECTED, DISCRETE))])
    }
    if not shown:
        return None
    caption = (
        "The cost that a search heeds, in its own unit: solid as expected by the gates, dotted of what would be "
        "derived from them. The difference is the relaxation gap."
    )
    series = {row: [(curve.epochs, curve.values[EXPECTED], curve.values[DISCRETE]) for curve in found]
              for row, found in shown.items()}  # fmt: skip
    shows = series, [palette.look(row) for row in shown]
    return Plot("search-costs", "Cost during the search", caption, partial(_draw_costs, shown, palette), shows, True)


def _is_line(curve: Curve, name: str) -> bool:
    return name in curve.values and curve.values[name].ndim == 1


def _draw_costs(curves: Mapping[str, Sequence[Curve]], palette: Palette) -> Figure:
    columns = min(PANELS, len(curves))
    rows = -(-len(curves) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(max(3.4, 2.3 * columns), 0.5 + 1.9 * rows), squeeze=False, layout="constrained"
    )
    for axes in list(grid.flat)[len(curves) :]:
        axes.remove()
    for axes, (row, found) in zip(grid.flat, curves.items(), strict=False):
        colour = palette.colour(row)
        draw_curves(axes, found, EXPECTED, row, ", expected", ls="-", color=colour, lw=1.2)
        draw_curves(axes, found, DISCRETE, row, ", discrete", ls=":", color=colour, lw=1.2)
        gap = np.mean([abs(c.values[EXPECTED][-1] / c.values[DISCRETE][-1] - 1) for c in found])
        axes.set_title(f"{row}\n{100 * gap:.1f} % apart at the end", fontsize=8.5)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if axes.get_ylim()[1] >= 1e4:  # a common factor of the labels would be written over the title
            axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("cost", fontsize=9)
    return figure
