"""Figures of one table: its trade-offs, the searches' curves, memory; None without measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.analysis import Table
from reports.columns import GIB
from reports.curves import COLLAPSE, ENTROPIES, NORMAL_EDGES, OPERATIONS, SKIPS, Curve, stacked
from reports.endings import NEAR_UNIFORM, UNIFORM
from reports.plot import Plot, tip
from reports.style import INK, MUTED, OPERATION_COLOURS, Palette, freeze
from reports.tradeoffs import accuracy_against_cost, accuracy_against_macs, accuracy_against_params

MOST_LINES = 12
"""Searches of a row that are drawn one by one."""
A_LINE = f"a line a search, of more than {MOST_LINES} the median and the middle 80 %"
PANELS = 5
"""Small panels beside each other."""

Curves = dict[str, list[Curve]]


def all_plots(table: Table, curves: Curves, palette: Palette) -> Iterator[Plot]:
    """Every figure there is something to show in; the caller closes them."""
    of_table = (accuracy_against_params, accuracy_against_macs, accuracy_against_cost, peak_memory)
    yield from _drawn(make(table, palette) for make in of_table)
    yield from search_plots(curves, palette)


def search_plots(curves: Curves, palette: Palette) -> Iterator[Plot]:
    """Every figure of what happened during the searches; the caller closes them."""
    of_searches = (search_curves, operation_histogram, skip_connections, entropies, remaining_ratios, mgas_size)
    yield from _drawn(make(curves, palette) for make in of_searches)


def _drawn(made: Iterable[Plot | None]) -> Iterator[Plot]:
    for plot in made:
        if plot is not None:
            freeze(plot.figure)
            yield plot


def peak_memory(table: Table, palette: Palette) -> Plot | None:
    """Bars of the searches' and the retrainings' largest peaks."""
    entries = [e for e in table.entries if e.summary.search_memory or e.summary.train_memory]
    if not entries:
        return None
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
    return Plot("memory", "Peak memory", "Largest peak of a row's searches and of its retrainings.", figure)


def search_curves(curves: Curves, palette: Palette) -> Plot | None:
    """Accuracy on the search's validation part by epoch, each search a line."""
    shown = {name: found for name, found in curves.items() if any("valid/accuracy" in c.values for c in found)}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (name, found) in zip(panels, shown.items(), strict=True):
        for metric, style in (("train/accuracy", ":"), ("valid/accuracy", "-")):
            draw_curves(axes, found, metric, name, f", {metric}", ls=style, lw=1.1, color=palette.colour(name))
        axes.set_title(name)
    _share(figure, panels, "epoch", "accuracy (%)")
    caption = f"Supernet accuracy: solid on the search's validation part, dotted on its training part; {A_LINE}."
    return Plot("search-curves", "Searches", caption, figure)


def operation_histogram(curves: Curves, palette: Palette) -> Plot | None:
    """How often each operation is in the discretised cells, by epoch, mean over the searches."""
    shown = {n: found for n, found in curves.items() if any(k.startswith(OPERATIONS) for c in found for k in c.values)}
    if not shown:
        return None
    figure, panels = _panels(
        len(shown), legend=True, common_y=False
    )  # a genotype has 16 operations, a supernet hundreds
    present: dict[str, None] = {}
    for axes, (name, found) in zip(panels, shown.items(), strict=True):
        series = {op: data for op in OPERATION_COLOURS if (data := stacked(found, OPERATIONS + op)) is not None}
        if series:
            epochs = next(iter(series.values()))[0]
            heights = [values.mean(0)[: len(epochs)] for _, values in series.values()]
            colours = [OPERATION_COLOURS[op] for op in series]
            areas = axes.stackplot(epochs, heights, colors=colours, lw=0)
            for op, area in zip(series, areas, strict=True):
                area.set_gid(tip(f"{name}: {op}"))
            present |= dict.fromkeys(series)
        axes.set_title(name)
        axes.margins(x=0)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _share(figure, panels, "epoch", "operations")
    handles = [plt.Rectangle((0, 0), 1, 1, color=OPERATION_COLOURS[op]) for op in present]
    figure.legend(handles, list(present), loc="outside upper center", ncols=4, fontsize=8)
    caption = "Operations of the cells the search would end with at each epoch; mean over the searches."
    return Plot("operations", "Operations during the search", caption, figure)


def skip_connections(curves: Curves, palette: Palette) -> Plot | None:
    """Skip connections of the normal cell by epoch, or of the only kind of cell; collapsed searches are flagged."""
    shown = {row: found for row, found in curves.items() if any(curve.skips for curve in found)}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (row, found) in zip(panels, shown.items(), strict=True):
        usable = [curve for curve in found if curve.skips]
        name = usable[0].skips or ""
        style: dict[str, Any] = {"lw": 1.2, "color": palette.colour(row), "drawstyle": "steps-mid"}
        draw_curves(axes, [curve for curve in usable if not curve.collapsed], name, row, **style)
        dashed = {**style, "ls": (0, (4, 1))}
        draw_curves(axes, [curve for curve in usable if curve.collapsed], name, row, ", collapsed", **dashed)
        axes.axhline(COLLAPSE, color=MUTED, lw=0.8, ls=":")
        axes.set_title(flagged(row, [curve.collapsed for curve in usable], "collapsed"))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    usable = [curve for found in shown.values() for curve in found if curve.skips]
    edges = {(curve.skips, curve.edges) for curve in usable}
    panels[0].set_ylim(-0.4, max(count or NORMAL_EDGES for _, count in edges) + 0.4)
    _share(figure, panels, "epoch", "skip connections")
    cells = sorted(
        ("the normal cell" if name == SKIPS[0] else "the cell") + (f" of {count} edges" if count else "")
        for name, count in edges
    )
    caption = (
        f"Skip connections in {' or '.join(cells)}; a search that ends with {COLLAPSE} or more (dotted line) is "
        f"flagged as collapsed and drawn dashed; {A_LINE}."
    )
    return Plot("skips", "Skip connections", caption, figure)


def entropies(curves: Curves, palette: Palette) -> Plot | None:
    """Entropy of the operations' gates by epoch."""
    shown = {row: found for row, found in curves.items() if any(k in c.values for c in found for k, _ in ENTROPIES)}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (row, found) in zip(panels, shown.items(), strict=True):
        for metric, style in ENTROPIES:
            draw_curves(axes, found, metric, row, f", {metric}", ls=style, lw=1.1, color=palette.colour(row))
        for uniform in sorted({float(curve.values[UNIFORM][-1]) for curve in found if UNIFORM in curve.values}):
            axes.axhline(uniform, color=MUTED, lw=0.8, ls=(0, (1, 3)))
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set_title(flagged(row, [curve.near_uniform for curve in found], "near-uniform"))
    _share(figure, panels, "epoch", "entropy (nats)")
    reduce = any(ENTROPIES[2][0] in c.values for found in shown.values() for c in found)
    cells = "; solid the normal cells, dotted the reduction cells" if reduce else ""
    caption = (
        f"Entropy of the operations' gates, mean over the edges of a cell{cells}; a search that ends above "
        f"{NEAR_UNIFORM:.0%} of the entropy of equal gates (dots) is flagged as near-uniform; {A_LINE}."
    )
    return Plot("entropy", "Entropy", caption, figure)


RATIOS = (("operation", "operations"), ("filter", "filters"), ("weight", "weights"))


def remaining_ratios(curves: Curves, palette: Palette) -> Plot | None:
    """MGAS: what remains of operations, filters and weights in each cell, by epoch, mean over the searches."""
    shown = {n: found for n, found in curves.items() if any("mgas/ratio_operation" in c.values for c in found)}
    if not shown:
        return None
    figure, grid = plt.subplots(
        len(shown),
        3,
        figsize=(8.4, 0.6 + 2.3 * len(shown)),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for line, (name, found) in zip(grid, shown.items(), strict=True):
        for axes, (key, title) in zip(line, RATIOS, strict=True):
            data = stacked(found, f"mgas/ratio_{key}")
            axes.set_title(f"{flagged(name, [curve.cut for curve in found], 'cut at the limit')}\n{title}")
            if data is None or data[1].ndim != 3:
                continue
            means = np.ma.masked_invalid(data[1]).mean(axis=0).filled(np.nan)  # not every search has every epoch
            for cell in range(means.shape[1]):
                shade = plt.get_cmap("viridis")(0.08 + 0.8 * cell / max(1, means.shape[1] - 1))
                curve = axes.plot(data[0], means[:, cell], color=shade, lw=1.2)
                curve[0].set_gid(tip(f"{name}, cell {cell}, {title}: {means[-1, cell]:.3f} at the end"))
            axes.set_ylim(0, 1.03)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    for axes in grid[:, 0]:
        axes.set_ylabel("remaining ratio")
    caption = (
        "What remains in each cell, from the first (dark) to the last (light); mean over the searches. A search is cut "
        "at the limit whose last operations went when its epochs were used up, not below their thresholds."
    )
    return Plot("mgas-ratios", "Remaining ratios", caption, figure)


def mgas_size(curves: Curves, palette: Palette) -> Plot | None:
    """MGAS: size of the supernet and weight of the cost term by epoch."""
    names = (("mgas/size", "size of the supernet"), ("mgas/lambda", "weight of the cost term (lambda)"))
    shown = {n: found for n, found in curves.items() if any(key in c.values for c in found for key, _ in names)}
    if not shown:
        return None
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 2.6), layout="constrained")
    for axes, (key, title) in zip(panels, names, strict=True):
        for name, found in shown.items():
            draw_curves(axes, found, key, name, color=palette.colour(name), lw=1.2)
        axes.set_title(title)
        axes.set_xlabel("epoch")
    for name in shown:
        panels[0].plot([], [], color=palette.colour(name), label=name)
    panels[0].legend(fontsize=8)
    return Plot("mgas-size", "Size during the search", f"{A_LINE.capitalize()}.", figure)


def flagged(row: str, flags: Sequence[bool], what: str) -> str:
    """A panel's title: the row, and how many of its searches ended badly."""
    return f"{row}\n⚠ {sum(flags)} of {len(flags)} {what}" if any(flags) else row


def draw_curves(axes: Axes, curves: Sequence[Curve], metric: str, row: str, told: str = "", **style: Any) -> None:
    """A metric of some searches of a row by epoch: a line each, or, of many, the median and the middle 80 %."""
    found = [curve for curve in curves if metric in curve.values]
    if len(found) <= MOST_LINES:
        for curve in found:
            line = axes.plot(curve.epochs, curve.values[metric], **style)
            line[0].set_gid(tip(f"{row}, search seed {curve.record.info.search_seed}{told}"))
        return
    epochs = np.unique(np.concatenate([curve.epochs for curve in found]))
    values = np.full((len(found), len(epochs)), np.nan)
    for line_values, curve in zip(values, found, strict=True):
        line_values[np.searchsorted(epochs, curve.epochs)] = curve.values[metric]
    low, middle, high = np.nanquantile(values[:, ~np.isnan(values).all(axis=0)], (0.1, 0.5, 0.9), axis=0)
    epochs = epochs[~np.isnan(values).all(axis=0)]
    line = axes.plot(epochs, middle, **style)
    line[0].set_gid(tip(f"{row}, median of {len(found)} searches{told}"))
    axes.fill_between(epochs, low, high, color=style["color"], alpha=0.2, lw=0)


def _panels(count: int, legend: bool = False, common_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Small panels, unused places removed."""
    columns = min(PANELS, count)
    rows = -(-count // columns)
    size = (max(8.4 if legend else 3.4, 2.1 * columns), 0.5 + 1.9 * rows + (0.5 if legend else 0))
    figure, grid = plt.subplots(
        rows, columns, figsize=size, layout="constrained", sharex=False, sharey=common_y, squeeze=False
    )
    flat = list(grid.flat)
    for axes in flat[count:]:
        axes.remove()
    return figure, flat[:count]


def _share(figure: Figure, panels: Sequence[Axes], x: str, y: str) -> None:
    figure.supxlabel(x, fontsize=9, color=INK)
    figure.supylabel(y, fontsize=9, color=INK)
    for axes in panels:
        axes.title.set_fontsize(8.5)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
