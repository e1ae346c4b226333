"""The figures of one table, ordered once: as files in every format asked for, and for its section of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path

import numpy as np

from bench.records.directory import Record
from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from reports.analysis import Entry, Table
from reports.checklist import checklist
from reports.curves import read_curves
from reports.draw import content, draw_architecture, figure_of, svg_of
from reports.endings import CUT
from reports.output import Drawn, Output
from reports.page import Figure, Section
from reports.plot import Plot
from reports.plots import all_plots
from reports.shown import digest
from reports.style import Palette, figure_style, svg, themed


def make_section(table: Table, palette: Palette, output: Output) -> Section:
    """Order everything there is to a table, in the colours of the whole report; files go to plots and cells."""
    curves, unreadable = read_curves({entry.row.name: entry.row.searches for entry in table.entries})
    output.problems += unreadable
    with figure_style():
        figures = order_plots(all_plots(table, curves, palette), table.setting.slug, output)
        drawings, spaces = _order_cells(table, output)
    return Section(table, palette, figures, drawings, checklist(table, spaces, curves))


def order_plots(plots: Iterable[Plot], slug: str, output: Output) -> list[Figure]:
    """Plots in every format asked for, and as the page will have them; none without a page."""
    figures = [_order(plot, f"{slug}-{plot.name}", output) for plot in plots]
    return figures if output.page else []


def _order(plot: Plot, name: str, output: Output) -> Figure:
    """A plot as the page will have it: without its SVG where that has no more room."""
    figure = Figure(plot.title, plot.caption, "", plot.wide)

    def take(text: str) -> None:
        text = themed(text) if output.page else ""
        if output.room.take(text):
            figure.svg = text
        else:
            figure.caption = f"{plot.caption} Left out of the page for its size: plots/{name}."

    shows = digest(name, plot.title, plot.caption, plot.shows)
    output.order(output.folder / "plots" / name, shows, partial(_draw, plot, name), take)
    return figure


@contextmanager
def _draw(plot: Plot, name: str) -> Iterator[Drawn]:
    try:
        yield Drawn(svg(plot.figure, name, f"{plot.title}. {plot.caption}"), lambda: plot.figure)
    finally:
        plot.close()


def found_architecture(entry: Entry) -> tuple[Architecture, str] | None:
    """The architecture of a row's best search (by its mean on the test images) and where it is from.

    Raises:
        ArchitectureError: its file is damaged.
    """
    if not entry.row.trains:
        return None
    means = {seed: float(np.mean(list(values.values()))) for seed, values in entry.row.values.items()}
    metric = entry.row.setting.metric
    best = max(means, key=lambda seed: metric.score(means[seed]))
    train = next(run for run in entry.row.trains if best in (run.info.search_seed, -1))
    if entry.row.genotype:
        return published(entry.row.genotype), f"Cells of {entry.row.genotype}"
    where = f"Architecture of search seed {best}, the best by mean test {metric.name}" if best >= 0 else "Architecture"
    for run in _holders(entry, train):
        if (run.path / "architecture.json").exists():
            architecture = Architecture.load(run.path)
            if architecture.digest == (train.result or {}).get("architecture", architecture.digest):
                cut = ", cut to its size at the search's epoch limit" if architecture.provenance.get(CUT) else ""
                return architecture, where + cut
    return None


def _holders(entry: Entry, train: Record) -> list[Record]:
    """Runs that may hold the architecture a retraining was made from."""
    return [train, *(run for run in entry.row.searches if run.info.signature in train.info.needs)]


def _order_cells(table: Table, output: Output) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Drawings by row name, which `Output.finish` fills in, and the search spaces of what is drawn."""
    drawings: dict[str, tuple[str, str]] = {}
    spaces: set[str] = set()
    for index, entry in enumerate(table.entries):
        try:
            found = found_architecture(entry)
            if found is None:
                continue
            spaces.add(found[0].space)
            name = f"{table.setting.slug}-{index}-{''.join(c if c.isalnum() else '_' for c in entry.row.name)}"
            title = f"{found[1]} ({found[0].space}, {found[0].digest})"
            take = partial(_take, drawings, entry.row.name, title, name, output)
            _order_drawing(found[0], title, output.folder / "cells" / name, output, take)
        except (ArchitectureError, KeyError, TypeError, ValueError) as error:
            output.problems.append(
                f"{table.setting.title}: the architecture of {entry.row.name} cannot be drawn: {error}"
            )
    return drawings, spaces


def _take(drawings: dict[str, tuple[str, str]], row: str, title: str, name: str, output: Output, text: str) -> None:
    """Keep a row's drawing for the page, or say where it is where the page has no more room."""
    if output.page:
        text = themed(text)
        drawings[row] = (title, text) if output.room.take(text) else (f"{title}: see cells/{name}", " ")


def _order_drawing(
    architecture: Architecture, title: str, stem: Path, output: Output, take: Callable[[str], None]
) -> None:
    """An architecture in every format; its shapes are made here, where what is wrong with it can be said."""
    drawing = draw_architecture(architecture)
    shown = Drawn(svg_of(drawing, title), cache(lambda: figure_of(drawing)))
    output.order(stem, digest(stem.name, title, content(architecture)), lambda: nullcontext(shown), take)
