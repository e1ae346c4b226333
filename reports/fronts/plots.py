"""Figures of searches with two objectives: what they evaluated and their fronts; hypervolumes over generations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.analysis import Table
from reports.fronts.found import Found, fronts, reference
from reports.plot import Plot, tip
from reports.style import Palette


def front_plots(table: Table, palette: Palette) -> Iterator[Plot]:
    """Two for each count that searches of the table minimise beside the error."""
    every = fronts(table)
    for on in dict.fromkeys(each.objectives.on for each in every):
        found = [each for each in every if each.objectives.on == on]
        points = [(each.row, each.seed, [one.minimised for one in each.objectives.individuals]) for each in found]
        looks = [palette.look(each.row) for each in found]
        told = (
            f"Networks that a search evaluated, by validation error after a short training and {on}; the later in the "
            "search, the darker. Steps: its front. Rings: members that were retrained."
        )
        retrained = [sorted(each.retrained) for each in found]
        yield Plot(
            f"front-{on}", f"Error against {on}: evaluated networks and fronts", told,
            partial(_draw_fronts, found, palette, on), (points, retrained, looks),
        )  # fmt: skip
        volumes = {f"{each.row}, seed {each.seed}": each.volumes(reference(found, on)) for each in found}
        told = (
            f"Hypervolume of all that was evaluated until the end of each generation: error as a share, times decades "
            f"of {on}, up to 100 % and the largest network of these searches."
        )
        yield Plot(
            f"hypervolume-{on}", "Hypervolume over generations", told,
            partial(_draw_volumes, found, volumes, palette), (volumes, looks),
        )  # fmt: skip


def _draw_fronts(found: Sequence[Found], palette: Palette, on: str) -> Figure:
    figure, axes = plt.subplots(figsize=(7.4, 5.0), layout="constrained")
    for each in found:
        _draw_front(axes, each, palette, on)
    axes.set_xscale("log")
    axes.set_xlabel(f"{on} of the network")
    axes.set_ylabel("validation error (%)")
    axes.legend(fontsize=8)
    return figure


def _draw_front(axes: Axes, each: Found, palette: Palette, on: str) -> None:
    colour, marker = palette.colour(each.row), palette.marker(each.row)
    individuals = each.objectives.individuals
    for one in individuals:
        shade = 0.2 + 0.6 * one.number / max(1, len(individuals) - 1)
        dot = axes.plot(one.count, one.error, marker, color=colour, alpha=shade, ms=5)
        dot[0].set_gid(tip(f"{each.row}, proposal {one.number}: error {one.error:.2f} %, {one.count:,} {on}"))
    front = each.front
    line: dict[str, Any] = {"color": colour, "lw": 1.4, "label": f"{each.row}, search seed {each.seed}"}
    axes.step([one.count for one in front], [one.error for one in front], palette.line(each.row), where="post", **line)
    for one in front:
        if one.architecture in each.retrained:
            axes.plot(one.count, one.error, "o", mfc="none", mec=colour, ms=11, mew=1.4)


def _draw_volumes(found: Sequence[Found], volumes: dict[str, list[float]], palette: Palette) -> Figure:
    figure, axes = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
    for each, (label, values) in zip(found, volumes.items(), strict=True):
        look = palette.line(each.row) if len(values) > 1 else "o"
        axes.plot(range(len(values)), values, look, color=palette.colour(each.row), label=label, marker="o", ms=4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("generation")
    axes.set_ylabel("hypervolume")
    axes.legend(fontsize=8)
    return figure
