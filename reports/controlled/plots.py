"""Figures of controlled comparisons: mean ranks with their intervals, and how alike tasks are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from reports.colours import INK
from reports.controlled.tables import ComparisonTable, Line
from reports.plot import Plot, tip
from reports.ranks import tie_of
from reports.style import Palette

TEXT_FROM = 0.6
"""Kendall's tau from which on a cell is so dark that its number is written in white."""


def all_plots(table: ComparisonTable, palette: Palette) -> Iterator[Plot]:
    """Every figure there is something to show in; the caller closes them."""
    if table.lines:
        yield mean_ranks(table, palette)
    for anchors, tasks, matrix in table.alike:
        caption = (
            f"Kendall's tau b of the accuracies of {len(next(iter(anchors.scores.values())))} designs on every two "
            "tasks: 1 where they put the designs in the same order, -1 in the opposite one."
        )
        shows = [(tasks, matrix)]
        name = f"similarity-{anchors.label}".replace(" ", "-")
        yield Plot(name, "How alike the tasks are", caption, partial(_draw_similarity, tasks, matrix), shows)


def mean_ranks(table: ComparisonTable, palette: Palette) -> Plot:
    name, tie = table.setting.metric.name, tie_of(table.setting.metric)
    caption = "Mean rank of every option within its question, left is better, with the 95 % interval over settings"
    caption += f"; options that are within two points of {name} of each other tie." if tie else "."
    shows = [(e.question.label, e.option, e.tied, palette.look(e.question.label)) for e in table.lines]
    return Plot("ranks", "Mean ranks", caption, partial(_draw_ranks, table.lines, palette), shows)


def _draw_ranks(lines: Sequence[Line], palette: Palette) -> Figure:
    figure, axes = plt.subplots(figsize=(6.4, 1.0 + 0.27 * len(lines)), layout="constrained")
    ordered = list(reversed(lines))
    for place, line in enumerate(ordered):
        colour, ranked = palette.colour(line.question.label), line.tied
        told = f"{line.question.label} {line.option}: mean rank {ranked.mean:.2f} over {ranked.settings} settings"
        if ranked.interval is not None:
            low, high = ranked.interval.within(1.0, float(len(line.question.options)))
            (bar,) = axes.plot([low, high], [place, place], color=colour, lw=2)
            bar.set_gid(tip(f"{told}, 95 %: {low:.2f} to {high:.2f}"))
        (point,) = axes.plot(ranked.mean, place, "o", color=colour, ms=5)
        point.set_gid(tip(told))
    axes.set_yticks(range(len(ordered)), [f"{e.question.label}: {e.option}" for e in ordered], color=INK)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlabel("mean rank (1 is best)")
    axes.grid(axis="y", visible=False)
    return figure


def _draw_similarity(tasks: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> Figure:
    values = np.array([[np.nan if tau is None else tau for tau in line] for line in matrix])
    side = 2.4 + 0.55 * len(tasks)
    figure, axes = plt.subplots(figsize=(side + 1.0, side), layout="constrained")
    axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for row, line in enumerate(values):
        for column, tau in enumerate(line):
            text = "" if np.isnan(tau) else f"{tau:.2f}"
            colour = "white" if abs(tau) > TEXT_FROM else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(tasks)), tasks, rotation=40, ha="right", color=INK)
    axes.set_yticks(range(len(tasks)), tasks, color=INK)
    axes.grid(visible=False)
    return figure
