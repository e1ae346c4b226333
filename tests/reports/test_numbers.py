"""Numbers measured elsewhere: latencies of found networks and a user's own file, in tables, figures and on the page."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bench.latency.collect import collect
from bench.latency.conditions import LatencyError
from bench.latency.dataset import Job
from bench.latency.found import found_networks
from bench.latency.timing import Timed
from methods.architecture import Architecture
from methods.spaces import get_space
from reports.analysis import analyse
from reports.build import build, gather
from reports.columns import columns
from reports.costs import costs_of_searches, predictions
from reports.curves import Curve, read_curves
from reports.numbers import read_numbers
from reports.plots import all_plots
from reports.style import Palette
from tests.bench.fake_latency import conditions
from tests.reports.synthetic import Kind, experiment

KINDS = (
    Kind("darts", "darts", 3.0),
    Kind("pc-darts", "pc_darts", 2.7),
    Kind("random", "random_sampling", 3.1, hours=0.0),
)


UNIT = conditions("darts_cell").unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three rows of two searches, whose trainings say what they are of."""
    made = experiment(tmp_path / "runs", KINDS, searches=2, retrains=1, epochs=4)
    for path in made.glob("train-*/result.json"):
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"network": {"image_shape": [3, 32, 32], "classes": 10}}))
    return made


def ms_of(architecture: Architecture) -> float:
    return 5.0 + int(architecture.digest[:4], 16) / 65536


def measured_all(folder: Path, leave_out: int = 0) -> None:
    digests = {json.loads(path.read_text())["architecture"] for path in folder.glob("train-*/result.json")}
    found = [Architecture.load(path.parent) for path in sorted(folder.glob("train-*/result.json"))]
    jobs = [Job("given", index, each) for index, each in enumerate(dict.fromkeys(found))]
    assert {job.architecture.digest for job in jobs} == digests

    def measure(job: Job) -> Timed:
        return Timed((ms_of(job.architecture),), (2.0,))

    collect(folder / "latency-fake.jsonl", conditions("darts_cell"), jobs[leave_out:], measure=measure)


def analysed(folder: Path):  # type: ignore[no-untyped-def]
    (table,) = analyse(gather([folder])[0])[0]
    numbers, problems = read_numbers([folder])
    table.numbers = numbers
    return table, problems


def test_a_row_has_the_mean_of_what_its_searches_found(folder: Path) -> None:
    measured_all(folder)
    table, problems = analysed(folder)
    assert problems == []
    (number,) = table.numbers
    for entry in table.entries:
        expected = np.mean([ms_of(Architecture.load(record.path)) for record in entry.row.trains])
        assert number.of(entry.row) == pytest.approx(expected, rel=1e-4)
    assert "Fake CPU" in number.title
    (column,) = [each for each in columns(table) if each.key == number.name]
    assert float(column.text(table.entries[0])) == pytest.approx(number.of(table.entries[0].row), rel=1e-3)


def test_measured_latencies_are_on_the_scale_of_what_predictors_were_fitted_to(folder: Path) -> None:
    """The reference took 2 ms beside what was found, and 1.6 ms where hundreds were measured in the same way."""
    measured_all(folder)
    before = analysed(folder)[0].numbers[0].by_digest
    reference = get_space("darts_cell").reference()

    def also(name: str, **others: Any) -> dict[str, float]:
        path = folder / name / "latency.jsonl"
        collect(
            path,
            conditions("darts_cell", **others),
            [Job("random", 0, reference)],
            measure=lambda job: Timed((9.0,), (1.6,)),
        )
        return dict(analysed(folder)[0].numbers[0].by_digest)

    assert also("collect-a", batch=4) == before
    found = also("collect-b", seed=7)
    assert found == pytest.approx({digest: 0.8 * ms for digest, ms in before.items()})


def test_a_row_with_a_network_that_was_not_measured_stays_empty(folder: Path) -> None:
    measured_all(folder, leave_out=1)
    table, _ = analysed(folder)
    values = [table.numbers[0].of(entry.row) for entry in table.entries]
    assert values.count(None) == 1


def test_every_column_of_a_users_file_is_one_of_the_report(folder: Path) -> None:
    (folder / "numbers.csv").write_text(
        "row,energy (mJ),size on disk (MB),note\ndarts,12.5,3,fast\npc-darts,11,,slow\nother,1,2,\n"
    )
    table, problems = analysed(folder)
    energy, size = table.numbers
    assert (energy.name, energy.heading) == ("energy__mj", ("energy", "mJ"))
    by_row = {entry.row.label: (energy.of(entry.row), size.of(entry.row)) for entry in table.entries}
    assert by_row == {"darts": (12.5, 3.0), "pc-darts": (11.0, None), "random": (None, None)}
    assert len(problems) == 2
    assert "line 2, 'note': 'fast' is no number" in problems[0]
    made = {plot.name: plot for plot in all_plots(table, {}, Palette([e.row.name for e in table.entries]))}
    assert made["accuracy-energy__mj"].title == "Accuracy against energy (mJ)"
    plt.close(made["accuracy-energy__mj"].figure)


@pytest.mark.parametrize(
    ("text", "said"),
    [("energy\n1\n", "no column 'row' or 'architecture'"), ("", "no column"), ("row,e\n\xff\n", "cannot be read")],
)
def test_a_file_that_says_nothing_is_a_problem_and_no_end(folder: Path, text: str, said: str) -> None:
    (folder / "numbers.csv").write_bytes(text.encode("latin-1"))
    (folder / "latency-x.jsonl").write_text("nothing\n")
    found, problems = read_numbers([folder])
    assert found == []
    assert any(said in problem for problem in problems)
    assert any("is no latency file" in problem for problem in problems)


def test_the_report_has_column_figure_and_page_and_loads_no_torch(folder: Path, tmp_path: Path) -> None:
    measured_all(folder)
    code = (
        "import sys; from bench.cli import main\n"
        f"code = main(['report', {str(folder)!r}, '--out', {str(tmp_path / 'report')!r}, '--formats', 'csv', 'html'])\n"
        "sys.exit(repr((code, 'torch' in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "(0, False)"
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Accuracy against measured latency" in page
    (path,) = (tmp_path / "report" / "tables").glob("*.csv")
    lines = list(csv.DictReader(path.open()))
    (heading,) = [name for name in lines[0] if name.startswith("latency-torch")]
    assert all(5.0 <= float(line[heading]) <= 6.0 for line in lines)


def test_predicted_against_measured_is_of_searches_under_a_latency(folder: Path) -> None:
    for path in sorted(folder.glob("search-*")):
        cost = {"on": "latency_ms" if "darts" in path.name else "macs", "value": 5.5, "unit": UNIT}
        result = json.loads((path / "result.json").read_text())
        (path / "result.json").write_text(json.dumps(result | {"report": {"cost": cost}}))
    measured_all(folder)
    table, _ = analysed(folder)
    plot = predictions(table, Palette([entry.row.name for entry in table.entries]))
    assert plot is not None
    points, _ = plot.shows  # type: ignore[misc]
    assert sorted({point.row for point in points}) == ["darts", "pc-darts"]
    assert all(point.value == 5.5 for point in points)
    assert all(5.0 <= point.measured <= 6.0 for point in points)
    assert len(points) == 4
    plt.close(plot.figure)
    table.numbers = []
    assert predictions(table, Palette([])) is None


def test_expected_and_discrete_cost_by_epoch(folder: Path) -> None:
    table = analyse(gather([folder])[0])[0][0]
    curves, _ = read_curves({entry.row.name: entry.row.searches for entry in table.entries})
    palette = Palette([entry.row.name for entry in table.entries])
    assert costs_of_searches(curves, palette) is None
    first = curves["darts"]
    curves["darts"] = [
        Curve(each.record, each.epochs, {
            **each.values, "cost/expected": 1.1 * np.ones(len(each.epochs)), "cost/discrete": np.ones(len(each.epochs)),
        }) for each in first
    ]  # fmt: skip
    plot = costs_of_searches(curves, palette)
    assert plot is not None
    (axes,) = plot.figure.axes
    assert "10.0 % apart" in axes.get_title()
    assert len(axes.lines) == 2 * len(first)
    plt.close(plot.figure)


def test_found_networks_of_an_experiment(folder: Path) -> None:
    with pytest.raises(LatencyError, match="no finished training"):
        found_networks(folder.parent)
    for path in folder.glob("train-*/run.json"):
        document = json.loads(path.read_text())
        document["config"]["network"] = {"channels": 8, "cells": 5}
        path.write_text(json.dumps(document))
    chain = get_space("chain_xs").reference()
    other = next(iter(sorted(folder.glob("train-*"))))
    chain.save(other)
    result = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps(result | {"architecture": chain.digest}))
    (of_chains, found), problems = found_networks(folder)
    assert problems == []
    assert [(each.space, len(each.jobs)) for each in (of_chains, found)] == [("chain_xs", 1), ("darts_cell", 5)]
    assert (found.settings.channels, found.settings.cells, found.classes, found.image_size) == (8, 5, 10, 32)
    assert [job.architecture.digest for job in found.jobs] == sorted(job.architecture.digest for job in found.jobs)
    path = next(iter(folder.glob("train-*/result.json")))
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"network": {"image_shape": [3, 28, 28], "classes": 10}}))
    with pytest.raises(LatencyError, match="2 sizes"):
        found_networks(folder)


def test_a_report_of_an_experiment_without_numbers_is_as_before(folder: Path, tmp_path: Path) -> None:
    result = build([folder], tmp_path / "report", ("csv",))
    assert result.problems == []
