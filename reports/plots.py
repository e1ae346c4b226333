"""Figures of one table: its trade-offs and fronts, memory, the searches' curves; None without measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from reports.analysis import Entry, Table
from reports.colours import INK
from reports.column import GIB
from reports.costs import costs_of_searches, predictions
from reports.fronts.plots import front_plots
from reports.plot import Plot, tip
from reports.style import Palette
from reports.tradeoffs import (
    metric_against_cost,
    metric_against_macs,
    metric_against_numbers,
    metric_against_params,
    shown_of,
)
from reports.watched import Curves, search_plots


def all_plots(table: Table, curves: Curves, palette: Palette) -> Iterator[Plot]:
    """Every figure there is something to show in; the caller closes them."""
    for make in (metric_against_params, metric_against_macs, metric_against_cost, peak_memory):
        plot = make(table, palette)
        if plot is not None:
            yield plot
    yield from metric_against_numbers(table, palette)
    yield from front_plots(table, palette)
    for priced in (predictions(table, palette), costs_of_searches(curves, palette)):
        if priced is not None:
            yield priced
    yield from search_plots(curves, palette)


def peak_memory(table: Table, palette: Palette) -> Plot | None:
    """Bars of the searches' and the retrainings' largest peaks."""
    entries = [e for e in table.entries if e.summary.search_memory or e.summary.train_memory]
    if not entries:
        return None
    told = "Largest peak of a row's searches and of its retrainings."
    return Plot("memory", "Peak memory", told, partial(_memory_bars, entries, palette), shown_of(entries, palette))


def _memory_bars(entries: Sequence[Entry], palette: Palette) -> Figure:
    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.36 * len(entries)), layout="constrained")
    for row, entry in enumerate(entries):
        colour = palette.colour(entry.row.name)
        bars = (
            ("search", entry.summary.search_memory, 0.19, 1.0),
            ("retraining", entry.summary.train_memory, -0.19, 0.45),
        )
        for what, value, shift, alpha in bars:
            if value:
                y = len(entries) - 1 - row + shift
                bar = axes.barh(y, value / GIB, 0.34, color=colour, alpha=alpha)[0]
                bar.set_gid(tip(f"{entry.row.name}, {what}: {value / GIB:.2f} GiB"))
                axes.annotate(f"{value / GIB:.2f}", (value / GIB, y), xytext=(3, 0), textcoords="offset points",
                              va="center", fontsize=7, color=INK)  # fmt: skip
    axes.set_yticks(range(len(entries)), [entry.row.name for entry in reversed(entries)])
    axes.set_xlabel("peak memory (GiB): full colour the search, pale the retraining")
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    return figure
