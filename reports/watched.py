"""Figures of what happened during the searches: their task's metric, and what their methods say is worth watching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.plan import catalogue
from methods.domain import MethodError
from methods.parts.watched import USUAL
from methods.tasks import Metric, task_of
from methods.watched import Watched
from reports.colours import COLOURS, INK, MUTED, OPERATION_COLOURS
from reports.curves import Curve, stacked
from reports.plot import Plot, tip
from reports.style import Palette

MOST_LINES = 12
"""Searches of a row that are drawn one by one."""
A_LINE = f"a line a search, of more than {MOST_LINES} the median and the middle 80 %"
PANELS = 5
"""Small panels beside each other."""
STROKES = {"-": "solid", ":": "dotted", "--": "dashed", "-.": "dash-dotted"}
"""Line styles with their words, in the order in which the values of a figure have them."""
Curves = Mapping[str, Sequence[Curve]]


def of_loop(metric: Metric) -> Watched:
    """What the loop measures for every method."""
    parts = {"valid": "on the search's validation part", "train": "on its training part"}
    values = {f"{part}/{metric.key}": said for part, said in parts.items()}
    return Watched("search-curves", "Searches", values, metric.axis, f"Supernet {metric.name}")


def search_plots(curves: Curves, palette: Palette) -> Iterator[Plot]:
    """Every figure of what happened during the searches of each row; the caller closes them."""
    draw = {"lines": lines, "shares": shares, "by cell": by_cell}
    metrics = {task_of(curve.record.info.config).metric: None for found in curves.values() for curve in found}
    for watched in (*map(of_loop, metrics), *declared(curves)) if curves else ():
        shown = {row: have for row, found in curves.items() if (have := _having(watched, found))}
        if shown:
            make = partial(draw[watched.shape], watched, shown, palette)
            caption, shows = _caption(watched), _shows(watched, shown, palette)
            yield Plot(watched.name, watched.title, caption, make, shows, wide=True)


def _caption(watched: Watched) -> str:
    if watched.shape == "shares":
        return f"{watched.meaning}; mean over the searches."
    if watched.shape == "by cell":
        told = f"{watched.meaning}, from the first (dark) to the last (light); mean over the searches"
        return "; ".join(filter(None, [told, _warning(watched)])) + "."
    strokes = _strokes(watched)
    told = ", ".join(f"{STROKES[strokes[name]]} {what}" for name, what in watched.values.items() if what)
    return "; ".join(filter(None, [watched.meaning, told, _warning(watched, " (dots)"), A_LINE])) + "."


def _shows(watched: Watched, curves: Curves, palette: Palette) -> object:
    """All that a figure reads of its searches (`Plot.shows`)."""
    flag = {*watched.flag.values, watched.flag.of} if watched.flag else set()

    def values(curve: Curve) -> dict[str, np.ndarray]:
        return {name: series for name, series in curve.values.items() if name in flag | set(watched.of(curve.values))}

    rows = {
        row: [(curve.record.info.search_seed, curve.epochs, values(curve)) for curve in found]
        for row, found in curves.items()
    }
    return watched, rows, [palette.look(row) for row in curves]


def declared(curves: Curves) -> list[Watched]:
    """What the methods of these searches declare, each figure once; of one that cannot be loaded, the usual ones."""
    figures: dict[str, Watched] = {}
    for name in dict.fromkeys(curve.record.info.method for curve in chain.from_iterable(curves.values())):
        try:
            found = catalogue.watched(name or "")
        except MethodError:
            found = USUAL
        for watched in found:
            figures.setdefault(watched.name, watched)
    return list(figures.values())


def _having(watched: Watched, curves: Sequence[Curve]) -> list[Curve]:
    """The searches that have values of a figure, in the shape it shows."""
    sides = 2 if watched.shape == "by cell" else 1
    found = []
    for curve in curves:
        strange = {name for name in watched.of(curve.values) if curve.values[name].ndim != sides}
        values = {name: series for name, series in curve.values.items() if name not in strange}
        if watched.of(values):
            found.append(replace(curve, values=values))
    return found


def flagged(watched: Watched, curve: Curve) -> bool:
    """Whether a search ended as its method warns of."""
    return watched.flag is not None and watched.flag.raised(_last(curve))


def _last(curve: Curve) -> dict[str, float]:
    """The last value of each name."""
    numbers = {name: series[~np.isnan(series)] for name, series in curve.values.items() if series.ndim == 1}
    return {name: float(series[-1]) for name, series in numbers.items() if len(series)}


def _title(watched: Watched, row: str, curves: Sequence[Curve]) -> str:
    """A panel's title: the row, and how many of its searches ended badly."""
    flags = [flagged(watched, curve) for curve in curves]
    word = watched.flag.word if watched.flag else ""
    return f"{row}\n⚠ {sum(flags)} of {len(flags)} {word}" if any(flags) else row


def lines(watched: Watched, curves: Curves, palette: Palette) -> Figure:
    """Numbers by epoch, each search a line; where there is one value, flagged searches are dashed."""
    figure, panels = _panels(len(curves))
    strokes, flag = _strokes(watched), watched.flag
    for axes, (row, found) in zip(panels, curves.items(), strict=True):
        names = watched.of({name: None for curve in found for name in curve.values})
        good, bad = ([curve for curve in found if flagged(watched, curve) is side] for side in (False, True))
        for name in names:
            what = f", {name}" if len(names) > 1 else ""
            style = _style([curve.values[name] for curve in found if name in curve.values], palette.colour(row))
            dashes = strokes[name] if _several(watched) else (0, (4, 1))
            draw_curves(axes, good, name, row, what, ls=strokes[name], **style)
            draw_curves(axes, bad, name, row, f"{what}, {flag.word if flag else ''}", ls=dashes, **style)
        limits = {flag.limit(_last(curve)) for curve in found} if flag else set()
        for limit in sorted(limit for limit in limits if limit is not None):
            axes.axhline(limit, color=MUTED, lw=0.8, ls=(0, (1, 3)))
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set_title(_title(watched, row, found))
    _share(figure, panels, "epoch", watched.axis)
    return figure


def _warning(watched: Watched, limit: str = "") -> str:
    if watched.flag is None:
        return ""
    dashed = " and drawn dashed" if watched.shape == "lines" and not _several(watched) else ""
    return f"{watched.flag.when}{limit} is flagged as {watched.flag.word}{dashed}"


def _several(watched: Watched) -> bool:
    """Whether line styles tell its values apart."""
    return any(watched.values.values())


def _strokes(watched: Watched) -> dict[str, str]:
    """A line style for each value of a figure; those that stand alone in their panels have the first."""
    told = [name for name, what in watched.values.items() if what]
    return dict.fromkeys(watched.values, "-") | dict(zip(told, STROKES, strict=False))


def _style(values: Sequence[np.ndarray], colour: str) -> dict[str, Any]:
    """Counts go in steps."""
    counts = all(np.all(each[~np.isnan(each)] % 1 == 0) for each in values)
    return {"color": colour, "lw": 1.2, "drawstyle": "steps-mid" if counts else "default"}


def shares(watched: Watched, curves: Curves, palette: Palette) -> Figure:
    """Numbers that add up, on top of each other by epoch, mean over the searches."""
    figure, panels = _panels(len(curves), legend=True, common_y=False)  # a genotype has 16, a supernet hundreds
    searches = [curve for found in curves.values() for curve in found]
    colours = _colours([what for curve in searches for what in watched.of(curve.values).values()])
    (beginning,) = watched.values
    present: dict[str, None] = {}
    for axes, (row, found) in zip(panels, curves.items(), strict=True):
        series = {what: data for what in colours if (data := stacked(found, beginning + what)) is not None}
        if series:
            epochs = next(iter(series.values()))[0]
            heights = [values.mean(0)[: len(epochs)] for _, values in series.values()]
            areas = axes.stackplot(epochs, heights, colors=[colours[what] for what in series], lw=0)
            for what, area in zip(series, areas, strict=True):
                area.set_gid(tip(f"{row}: {what}"))
            present |= dict.fromkeys(series)
        axes.set_title(row)
        axes.margins(x=0)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _share(figure, panels, "epoch", watched.axis)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[what]) for what in present]
    figure.legend(handles, list(present), loc="outside upper center", ncols=4, fontsize=8)
    return figure


def _colours(parts: Sequence[str]) -> dict[str, str]:
    """Operations have colours of their own and stand first; whatever else there is takes the palette's in turn."""
    others = [part for part in dict.fromkeys(parts) if part not in OPERATION_COLOURS]
    known = {part: colour for part, colour in OPERATION_COLOURS.items() if part in parts}
    return known | {part: COLOURS[place % len(COLOURS)] for place, part in enumerate(others)}


def by_cell(watched: Watched, curves: Curves, palette: Palette) -> Figure:
    """A number for each cell (or what `each` says) by epoch, mean over the searches: panels by row and value."""
    columns = len(watched.values)
    figure, grid = plt.subplots(
        len(curves), columns, figsize=(max(3.4, 2.8 * columns), 0.6 + 2.3 * len(curves)), layout="constrained",
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for line, (row, found) in zip(grid, curves.items(), strict=True):
        for axes, (name, title) in zip(line, watched.values.items(), strict=True):
            data = stacked(found, name)
            axes.set_title("\n".join(filter(None, [_title(watched, row, found), title])))
            if data is None or data[1].ndim != 3:
                continue
            means = np.ma.masked_invalid(data[1]).mean(axis=0).filled(np.nan)  # not every search has every epoch
            for cell in range(means.shape[1]):
                shade = plt.get_cmap("viridis")(0.08 + 0.8 * cell / max(1, means.shape[1] - 1))
                curve = axes.plot(data[0], means[:, cell], color=shade, lw=1.2)
                curve[0].set_gid(tip(f"{row}, {watched.each} {cell}, {title}: {means[-1, cell]:.3f} at the end"))
            axes.set_ylim(bottom=0)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes in grid[:, 0]:
        axes.set_ylabel(watched.axis)
    return figure


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
