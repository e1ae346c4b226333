"""Searches with two objectives in a report: their fronts, hypervolumes, and the members that were retrained."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from methods.sampling.fronts import Individual, Objectives, hypervolume
from reports.analysis import Table, analyse
from reports.build import build, gather
from reports.fronts.found import fronts
from reports.fronts.plots import front_plots
from reports.fronts.tables import front_listing, to_csv, to_text
from reports.style import Palette, figure_style
from tests.reports.synthetic import Kind, experiment, sign_again

KINDS = (
    Kind("evolved", "nsga2", 30.0, params=4e4), Kind("random", "random_sampling", 35.0, hours=0.0),
)  # fmt: skip
POINTS = ((60.0, 90_000), (50.0, 40_000), (55.0, 20_000), (45.0, 70_000), (70.0, 20_000), (45.0, 80_000))
FRONT = [20_000, 40_000, 70_000]


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def with_a_front(root: Path) -> Path:
    """An experiment with one search of two generations of three; the middle of its front is retrained."""
    made = experiment(root, KINDS, name="fronts", searches=1, retrains=1)
    trained = next(document(path) for path in made.glob("train-evolved-*/result.json"))["architecture"]
    for path in made.glob("search-evolved-*/result.json"):
        result = document(path)
        individuals = [
            Individual(
                trained if number == 1 else f"{number:016x}", number, number // 3, error, count, {"width": number}
            )
            for number, (error, count) in enumerate(POINTS)
        ]
        result["objectives"] = Objectives("params", individuals).to_json()
        path.write_text(json.dumps(result))
    sign_again(made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return with_a_front(tmp_path / "runs")


def table_of(folder: Path) -> Table:
    return analyse(gather([folder])[0])[0][0]


def test_a_front_has_a_line_for_each_member_and_says_who_retrained_it(folder: Path) -> None:
    table = table_of(folder)
    (found,) = fronts(table)
    assert [each.count for each in found.front] == FRONT
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [int(line["count"]) for line in lines] == FRONT
    assert [line["generation"] for line in lines] == ["0", "0", "1"]
    assert [bool(line["retrained"]) for line in lines] == [False, True, False]
    assert lines[1]["retrained"].startswith("evolved ")
    assert lines[1]["chosen"] == "width 1"
    assert "test error % of rows" in to_text(table)


def test_the_hypervolume_is_told_by_generation_and_does_not_fall(folder: Path) -> None:
    table = table_of(folder)
    (found,) = fronts(table)
    values = found.volumes(90_000)
    assert len(values) == 2
    assert all(one <= other for one, other in itertools.pairwise(values))
    assert values[1] == hypervolume(found.objectives.individuals, 90_000)
    listing = front_listing(table)
    assert listing is not None
    assert f"{values[0]:.4f}, {values[1]:.4f}" in listing.notes[1]
    assert "it fell" not in listing.notes[1]


def test_its_figures_show_what_was_evaluated(folder: Path) -> None:
    table = table_of(folder)
    with figure_style():
        plots = list(front_plots(table, Palette([entry.row.name for entry in table.entries])))
        assert [plot.name for plot in plots] == ["front-params", "hypervolume-params"]
        (axes,), (volumes,) = (plot.figure.axes for plot in plots)
        dots = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert len(dots) == len(POINTS) + 1  # one member was retrained
        assert list(volumes.lines[0].get_ydata()) == fronts(table)[0].volumes(90_000)
        for plot in plots:
            plot.close()
    assert not plt.get_fignums()


def test_the_report_has_them_in_every_form(folder: Path, tmp_path: Path) -> None:
    made = build([folder], tmp_path / "out", ["csv", "md", "tex", "svg", "html"])
    assert "Fronts of searches with two objectives" in made.table
    names = {path.name.rpartition("-fronts.")[2] for path in made.files if "-fronts." in path.name}
    assert names == {"csv", "md", "tex"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Fronts of searches with two objectives" in page
    assert "Hypervolume over generations" in page


def test_what_cannot_be_read_is_left_out_and_told(folder: Path) -> None:
    for path in folder.glob("search-evolved-*/result.json"):
        result = document(path)
        result["objectives"]["individuals"][0]["count"] = "many"
        path.write_text(json.dumps(result))
    sign_again(folder)
    table = table_of(folder)
    assert fronts(table) == []
    assert any("its objectives are not as expected" in note for note in table.notes)
    assert to_text(table) == ""
