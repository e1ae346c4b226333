"""Figures of one table of look-ups: the way of the searches, and how far their answers are from the best network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from reports.colours import INK, PAPER
from reports.lookups.rows import LookupRow
from reports.lookups.tables import LookupEntry, LookupTable
from reports.plot import Plot, tip
from reports.style import Palette

FEW = 10
"""Rows whose bands can still be told apart."""
QUANTILES = (0.1, 0.5, 0.9)
MOST_POINTS = 20
"""Seeds that are drawn one by one."""
LOWEST = 0.01
"""Percentage points: regrets below it are drawn there, so that the optimum has a place on a logarithmic axis."""
Numbers = npt.NDArray[np.float64]


def all_plots(table: LookupTable, palette: Palette) -> Iterator[Plot]:
    """Every figure there is something to show in; the caller closes them."""
    for make in (trajectories, regrets):
        plot = make(table, palette)
        if plot is not None:
            yield plot


def trajectories(table: LookupTable, palette: Palette) -> Plot | None:
    """Best validation score so far, and the test accuracy of the network that has it, by number of evaluations."""
    rows = [entry.row for entry in table.entries if any(entry.row.trajectories) and entry.row.evaluations > 1]
    if not rows:
        return None
    band_told = " and the middle 80 %" if len(rows) <= FEW else ""
    caption = (
        f"Median{band_told} over the seeds of a row. Left, what the search sees; right, the test accuracy, which it "
        "does not see, of the network that is best by it."
    )
    shows = [(row.label, row.evaluations, row.trajectories, palette.look(row.label)) for row in rows]
    make = partial(_draw_trajectories, rows, palette)
    return Plot("trajectory", "Best so far against evaluations", caption, make, shows, wide=True)


def _draw_trajectories(rows: Sequence[LookupRow], palette: Palette) -> Figure:
    height = 3.6 + 0.19 * -(-len(rows) // 4)
    figure, panels = plt.subplots(1, 2, figsize=(9.4, height), layout="constrained")
    for axes, column, title in zip(panels, (2, 3), ("best validation score so far", "its test accuracy"), strict=True):
        for row in rows:
            steps, curves = by_evaluation(row, column)
            low, middle, high = np.nanquantile(curves, QUANTILES, axis=0)
            colour = palette.colour(row.label)
            line = axes.plot(
                steps, middle, palette.line(row.label), color=colour, lw=1.4, drawstyle="steps-post", label=row.label
            )
            line[0].set_gid(tip(f"{row.label}, median of {len(curves)} seeds"))
            if len(rows) <= FEW:
                band = axes.fill_between(steps, low, high, step="post", color=colour, alpha=0.12, lw=0)
                band.set_gid(tip(f"{row.label}, the middle 80 % of {len(curves)} seeds"))
        axes.set_xscale("log")
        axes.set_title(f"{title} (%)")
        axes.set_xlabel("evaluations")
        _cut(axes, rows, column)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7.5)
    return figure


def by_evaluation(row: LookupRow, column: int) -> tuple[Numbers, Numbers]:
    """Numbers of evaluations from 1, and (seeds, evaluations) of a column of the trajectories, held between steps."""
    found = [way for way in row.trajectories if way]
    values = np.full((len(found), row.evaluations), np.nan)
    for line, way in zip(values, found, strict=True):
        starts = [int(entry[0]) - 1 for entry in way]
        for start, end, entry in zip(starts, [*starts[1:], row.evaluations], way, strict=True):
            line[start:end] = entry[column]
    return np.arange(1, row.evaluations + 1, dtype=np.float64), values


def _cut(axes: plt.Axes, rows: Sequence[LookupRow], column: int) -> None:
    """The first evaluations are random networks, far below: the axis begins where the tenth evaluation is."""
    curves = [by_evaluation(row, column)[1] for row in rows]
    low = min(float(np.nanquantile(c[:, min(9, c.shape[1] - 1)], 0.1)) for c in curves)
    high = max(float(np.nanquantile(c[:, -1], 0.9)) for c in curves)
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.08 * (high - low))


def regrets(table: LookupTable, palette: Palette) -> Plot | None:
    """How far the answers are from the best network of the table, on the data set searched on."""
    caption = (
        "Of each seed's answer: the median, and boxes that hold the middle half, three quarters, seven eighths and "
        f"fifteen sixteenths of the seeds (of {MOST_POINTS} seeds and fewer, each). The best network itself stands at "
        f"{LOWEST} points. Logarithmic axis."
    )
    entries = list(reversed(table.entries))
    rows = [entry.row for entry in entries]
    shows = [(row.label, row.values("regret"), row.values("rank"), palette.look(row.label)) for row in rows]
    return Plot("regret", "Regret of the answers", caption, partial(_draw_regrets, entries, palette), shows)


def _draw_regrets(entries: Sequence[LookupEntry], palette: Palette) -> Figure:
    import seaborn

    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.24 * len(entries)), layout="constrained")
    axes.set_xscale("log")
    for place, entry in enumerate(entries):
        values, ranks = np.maximum(entry.row.values("regret"), LOWEST), entry.row.values("rank")
        middle, colour, before = np.median(values), palette.colour(entry.row.label), set(axes.get_children())
        if len(values) > MOST_POINTS:
            seaborn.boxenplot(
                x=values, y=np.full(len(values), place), orient="h", native_scale=True, width=0.7, color=colour,
                saturation=1, linewidth=0.4, k_depth=4, showfliers=False, legend=False, ax=axes,
            )  # fmt: skip
        else:
            axes.plot(values, [place] * len(values), "o", color=colour, ms=3, alpha=0.5)
        axes.plot(middle, place, palette.marker(entry.row.label), color=colour, ms=6, mec=PAPER)
        told = f"{entry.row.label}, median regret {middle:.2f} points, median rank {np.median(ranks):,.0f}"
        for artist in set(axes.get_children()) - before:
            artist.set_gid(tip(told))
    axes.set_yticks(range(len(entries)), [entry.row.label for entry in entries], color=INK)
    axes.set_ylim(-0.6, len(entries) - 0.4)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("regret: points of test accuracy below the best network")
    axes.set_ylabel("")
    axes.grid(axis="y", visible=False)
    return figure
