"""The figures of one table, drawn once: to files in every format asked for, and into its section of the page."""

from __future__ import annotations

from functools import cache
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
from reports.output import Output
from reports.page import Figure, Section
from reports.plot import Plot
from reports.plots import all_plots
from reports.shown import digest
from reports.style import Palette, figure_style, svg, themed


def make_section(table: Table, palette: Palette, output: Output) -> Section:
    """Draw everything there is to a table, in the colours of the whole report; files go to plots and cells."""
    curves, unreadable = read_curves({entry.row.name: entry.row.searches for entry in table.entries})
    output.problems += unreadable
    figures: list[Figure] = []
    with figure_style():
        for plot in all_plots(table, curves, palette):
            figure = drawn(plot, f"{table.setting.slug}-{plot.name}", output)
            figures += [figure] if output.page else []
            plot.close()
        drawings, spaces = _draw_cells(table, output)
    return Section(table, palette, figures, drawings, checklist(table, spaces, curves))


def drawn(plot: Plot, name: str, output: Output) -> Figure:
    """A plot in every format asked for, and as the page has it: without its SVG where that has no more room."""
    stem, shows = output.folder / "plots" / name, digest(name, plot.title, plot.caption, plot.shows)
    text = output.kept(stem, shows)
    if text is None:
        text = svg(plot.figure, name, f"{plot.title}. {plot.caption}")
        output.save(lambda: plot.figure, stem, text, shows)
    text = themed(text) if output.page else ""
    fits = output.room.take(text)
    told = plot.caption if fits else f"{plot.caption} Left out of the page for its size: plots/{name}."
    return Figure(plot.title, told, text if fits else "", plot.wide)


def found_architecture(entry: Entry) -> tuple[Architecture, str] | None:
    """The architecture of a row's best search (lowest mean test error) and where it is from.

    Raises:
        ArchitectureError: its file is damaged.
    """
    if not entry.row.trains:
        return None
    means = {seed: float(np.mean(list(values.values()))) for seed, values in entry.row.errors.items()}
    best = min(means, key=lambda seed: means[seed])
    train = next(run for run in entry.row.trains if best in (run.info.search_seed, -1))
    if entry.row.genotype:
        return published(entry.row.genotype), f"Cells of {entry.row.genotype}"
    where = f"Architecture of search seed {best}, the best by mean test error" if best >= 0 else "Architecture"
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


def _draw_cells(table: Table, output: Output) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Drawings by row name, and the search spaces of what was drawn."""
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
            text = _cells(found[0], title, output.folder / "cells" / name, output)
        except (ArchitectureError, KeyError, TypeError, ValueError) as error:
            output.problems.append(
                f"{table.setting.title}: the architecture of {entry.row.name} cannot be drawn: {error}"
            )
            continue
        if output.page:
            text = themed(text)
            drawings[entry.row.name] = (title, text) if output.room.take(text) else (f"{title}: see cells/{name}", " ")
    return drawings, spaces


def _cells(architecture: Architecture, title: str, stem: Path, output: Output) -> str:
    """The SVG of an architecture, drawn to files where those there show something else."""
    shows = digest(stem.name, title, content(architecture))
    text = output.kept(stem, shows)
    if text is None:
        drawing = draw_architecture(architecture)
        text = svg_of(drawing, title)
        output.save(cache(lambda: figure_of(drawing)), stem, text, shows)
    return text
