"""A task's metric against its costs: parameters, MACs, search time. Rows without a search have a strip of their own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.tasks import Metric
from reports.analysis import Entry, Table
from reports.colours import GRID, MUTED
from reports.labels import place_labels
from reports.numbers import Number
from reports.plot import Plot, millions, tip
from reports.style import Palette, freeze

Point = tuple[float, float]
Make = Callable[[], Figure] | None
NAME_WIDTH = 16
"""Letters of a line of a name below the strip."""
WIDE_RANGE = 30.0
"""Ratio of the largest to the smallest search cost from which the axis is logarithmic."""


def metric_against_params(table: Table, palette: Palette) -> Plot | None:
    """Non-zero parameters where they are known: the size a network has in the end."""

    def cost(entry: Entry) -> float | None:
        return millions(entry.summary.params_nonzero or entry.summary.params)

    caption = _front_caption("parameters at inference that are not masked to zero")
    make, shows = _against(table, palette, cost, "non-zero parameters (M)")
    return make and Plot(*_named(table, "params", "parameters"), caption, make, shows)


def metric_against_macs(table: Table, palette: Palette) -> Plot | None:
    make, shows = _against(table, palette, lambda e: millions(e.summary.macs), "MACs of one image (M)")
    caption = _front_caption("dense MACs of convolutions and linear layers")
    return make and Plot(*_named(table, "macs", "MACs"), caption, make, shows)


def metric_against_numbers(table: Table, palette: Palette) -> Iterator[Plot]:
    """Latency, energy, ...: a figure for each number that was measured elsewhere (`reports.numbers`)."""
    for found in table.numbers:

        def value(entry: Entry, found: Number = found) -> float | None:
            return found.of(entry.row)

        make, shows = _against(table, palette, value, found.title)
        if make:
            cost = "measured latency" if found.latency else found.title
            yield Plot(*_named(table, found.name, cost), _front_caption(found.help), make, shows)


def metric_against_cost(table: Table, palette: Palette) -> Plot | None:
    """Device-hours on an axis of positive numbers; rows that cost no search stand side by side at its left."""
    entries = [e for e in table.entries if e.summary.value is not None and e.summary.search_hours is not None]
    if not entries:
        return None
    caption = _front_caption("the device-hours of all searches of a row together")
    caption += " At the left, rows without a search." if any(not e.summary.search_hours for e in entries) else ""
    make, shows = partial(_draw_costs, entries, palette), shown_of(entries, palette)
    return Plot(*_named(table, "cost", "search cost"), caption, make, shows)


def _named(table: Table, name: str, cost: str) -> tuple[str, str]:
    """Name and title of a figure."""
    metric = table.task.metric
    return f"{metric.key}-{name}", f"{metric.name[0].upper()}{metric.name[1:]} against {cost}"


def shown_of(entries: Sequence[Entry], palette: Palette) -> object:
    """All that a figure of a table's rows can show of them (`Plot.shows`)."""
    return [(e.row.name, e.row.searched, e.summary, palette.look(e.row.name)) for e in entries]


def _draw_costs(entries: Sequence[Entry], palette: Palette) -> Figure:
    free = [entry for entry in entries if not entry.summary.search_hours]
    paid = [entry for entry in entries if entry.summary.search_hours]
    label = "search cost (device-hours)"
    if not free:
        figure, axes = plt.subplots(figsize=(7.4, 5.0), layout="constrained")
    elif not paid:
        figure, strip = plt.subplots(figsize=(max(3.0, 0.5 * len(free) + 1.2), 5.0), layout="constrained")
    else:
        widths = [0.32 * len(free) + 0.3, 6.0]
        figure, (strip, axes) = plt.subplots(1, 2, figsize=(1.4 + sum(widths), 5.0), layout="constrained", sharey=True,
                                             width_ratios=widths)  # fmt: skip
    if free:
        _strip(strip, free, palette)
    if paid:
        best = max((_measured(entry) for entry in free), key=_metric(paid).score, default=None)
        hours = [entry.summary.search_hours or 0.0 for entry in paid]
        _scatter(axes, paid, hours, palette, label, best, wide=max(hours) / min(hours) >= WIDE_RANGE)
        if free:
            axes.set_ylabel("")
    return figure


def pareto(points: Sequence[Point]) -> list[int]:
    """Indices of the points nothing beats in both: less cost (first), a higher score (second); by rising cost."""
    order = sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1]))
    front: list[int] = []
    for k in order:
        if not front or points[k][1] > points[front[-1]][1]:
            front.append(k)
    return front


def _against(table: Table, palette: Palette, cost: Callable[[Entry], float | None], label: str) -> tuple[Make, object]:
    """How to draw the metric with its standard deviation between searches, the Pareto front, and names beside points;
    and what that shows. None without a row that has both."""
    entries = [e for e in table.entries if e.summary.value is not None and cost(e) is not None]
    costs = [cost(entry) or 0.0 for entry in entries]

    def make() -> Figure:
        figure, axes = plt.subplots(figsize=(7.4, 5.0), layout="constrained")
        _scatter(axes, entries, costs, palette, label)
        return figure

    return (make if entries else None), (label, costs, shown_of(entries, palette))


def _strip(axes: Axes, entries: Sequence[Entry], palette: Palette) -> None:
    """Each row in a place of its own, its name below it."""
    for place, entry in enumerate(entries):
        _point(axes, entry, place, palette, "no search")
    names = [textwrap.fill(entry.row.name, NAME_WIDTH) for entry in entries]
    axes.set_xticks(range(len(entries)), names, rotation=90, fontsize=8)
    axes.set_xlim(-0.7, len(entries) - 0.3)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    axes.set_title("no search", fontsize=9)
    axes.set_ylabel(f"test {_metric(entries).axis}")


def _scatter(
    axes: Axes,
    entries: Sequence[Entry],
    costs: Sequence[float],
    palette: Palette,
    label: str,
    start: float | None = None,
    wide: bool = False,
) -> None:
    """Points with error bars and names, and the front of those that nothing beats.

    Args:
        start: the best value that costs nothing, from which the front gets better.
        wide: a logarithmic axis of costs.
    """
    metric = _metric(entries)
    points = [(cost, _measured(entry)) for cost, entry in zip(costs, entries, strict=True)]
    for entry, cost in zip(entries, costs, strict=True):
        _point(axes, entry, cost, palette, f"{label} {cost:.4g}")
    axes.margins(0.16, 0.12)
    if wide:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel(f"test {metric.axis}")
    axes.autoscale_view()
    left, right = axes.get_xlim()
    if axes.get_xscale() == "linear":
        axes.set_xlim(max(0.0, left), right)  # nothing here can be negative
    scored = [(x, metric.score(y)) for x, y in points]
    front = [points[k] for k in pareto(scored) if start is None or metric.gain(points[k][1], start) > 0]
    if start is not None:
        front = [(axes.get_xlim()[0], start), *front]
        front.append((axes.get_xlim()[1], front[-1][1]))
    if len(front) > 1:
        xs, ys = zip(*front, strict=True)
        axes.step(xs, ys, where="post", color=MUTED, lw=1, ls="--", zorder=1)
    freeze(axes.get_figure())  # type: ignore[arg-type]
    spreads = [_spread(entry) or 0.0 for entry in entries]
    bars = [((x, y - s), (x, y + s)) for (x, y), s in zip(points, spreads, strict=True)]
    place_labels(axes, points, [entry.row.name for entry in entries], [*bars, *_steps(front)])


def _point(axes: Axes, entry: Entry, x: float, palette: Palette, cost: str) -> None:
    colour, y, spread = palette.colour(entry.row.name), _measured(entry), _spread(entry)
    metric = _metric([entry])
    axes.errorbar(x, y, yerr=spread, color=colour, fmt="none", capsize=3, lw=1.2, zorder=2)
    dot = axes.plot(x, y, palette.marker(entry.row.name), color=colour, ms=7, zorder=3, mec=GRID, mew=0.6)
    said = "" if spread is None else f" ± {metric.written(spread)}"
    value = f"{metric.written(y)}{said} {metric.unit}".rstrip()
    dot[0].set_gid(tip(f"{entry.row.name}: {metric.name} {value}, {cost}"))


def _metric(entries: Sequence[Entry]) -> Metric:
    """What the axis is of, in a table of one task."""
    return entries[0].row.setting.task.metric


def _measured(entry: Entry) -> float:
    """In the unit of the axis, not of the table: an accuracy where that has errors."""
    return entry.row.setting.task.headline_of(entry.summary.value or 0.0)


def _spread(entry: Entry) -> float | None:
    return (entry.summary.std_searches if entry.row.searched else entry.summary.std_retrains) or None


def _steps(front: Sequence[Point]) -> list[tuple[Point, Point]]:
    """The level and upright pieces of the front's stairs."""
    pieces = []
    for (x0, y0), (x1, y1) in pairwise(front):
        pieces += [((x0, y0), (x1, y0)), ((x1, y0), (x1, y1))]
    return pieces


def _front_caption(cost: str) -> str:
    return (
        f"Against {cost}. Bars: one standard deviation between searches (for a given cell, between retrainings). "
        "Dashed: Pareto front of the means."
    )
