"""The figure of a table of inherited weights: each set's metric against its cost, and the front of them all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.inherited.rows import InheritedRow, mean
from reports.inherited.tables import InheritedTable
from reports.plot import Plot, tip
from reports.style import GRID, MUTED, Palette
from reports.tradeoffs import pareto


def front(table: InheritedTable, palette: Palette) -> Plot | None:
    """The task's metric on test images against MACs; None where nothing was evaluated."""
    rows = [row for row in table.rows if row.test and row.macs]
    if not rows:
        return None
    caption = (
        "Networks of one set of weights as they are, a line for each set; bars: one standard deviation between "
        "searches. Dashed: the front of all of them, by the means. No retrained row is among them."
    )
    shows = [(row.label, row.macs, row.test, palette.look(row.label)) for row in rows]
    make = partial(_draw, rows, palette)
    name = table.setting.metric.name
    return Plot("front", f"Inherited weights: {name} against MACs", caption, make, shows)


def _draw(rows: Sequence[InheritedRow], palette: Palette) -> Figure:
    figure, axes = plt.subplots(figsize=(7.4, 5.0), layout="constrained")
    for label in dict.fromkeys(row.label for row in rows):
        _set(axes, [row for row in rows if row.label == label], label, palette)
    points = [_point(row) for row in rows]
    metric = rows[0].setting.metric
    best = [points[k] for k in pareto([(x, metric.score(y)) for x, y in points])]
    if len(best) > 1:
        axes.step(*zip(*best, strict=True), where="post", color=MUTED, lw=1, ls="--", zorder=1)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("MACs of one image (M)")
    axes.set_ylabel(f"test {metric.axis}")
    axes.legend(fontsize=8)
    return figure


def _set(axes: Axes, rows: Sequence[InheritedRow], label: str, palette: Palette) -> None:
    """By rising cost."""
    colour = palette.colour(label)
    points = sorted(map(_point, rows))
    axes.plot(*zip(*points, strict=True), palette.line(label), color=colour, lw=1.2, label=label, zorder=2)
    for row in rows:
        (x, y), values = _point(row), list(row.test.values())
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        if spread:
            axes.errorbar(x, y, yerr=spread, color=colour, fmt="none", capsize=3, lw=1.2, zorder=2)
        dot = axes.plot(x, y, palette.marker(label), color=colour, ms=6, zorder=3, mec=GRID, mew=0.6)
        metric = row.setting.metric
        value = f"{metric.written(y)}{f' ± {metric.written(spread)}' if spread else ''} {metric.unit}".rstrip()
        dot[0].set_gid(tip(f"{label}: {metric.name} {value}, {x:.4g} M MACs; {row.network}"))


def _point(row: InheritedRow) -> tuple[float, float]:
    """Millions of MACs, and the mean on test images."""
    return (row.macs or 0.0) / 1e6, mean(row.test) or 0.0
