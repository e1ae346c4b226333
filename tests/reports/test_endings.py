"""Searches that ended without a decision, and architectures that were cut to their size, say so wherever they stand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from methods.parts.watched import NEAR_UNIFORM
from reports.build import build
from reports.curves import read_curves
from reports.endings import is_near_uniform
from reports.figures import found_architecture
from reports.plots import all_plots
from reports.style import Palette
from reports.table import to_latex, to_text
from tests.reports.synthetic import Kind, experiment, sign_again, table_of

UNIFORM = math.log(8)
FLAT = {"arch/entropy_normal": 2.079, "arch/entropy_reduce": 2.078, "arch/entropy_uniform": UNIFORM}
SHARP = {"arch/entropy_normal": 1.2, "arch/entropy_reduce": 1.9, "arch/entropy_uniform": UNIFORM}


def changed(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rows of two searches: of DARTS the first ended flat, of MGAS the second was cut."""
    made = experiment(tmp_path, (Kind("darts", "darts", 3.0), Kind("mgas", "mgas", 3.5)), searches=2, retrains=2)
    for path in made.glob("search-darts-*"):
        seed = json.loads((path / "run.json").read_text())["search_seed"]
        ending = FLAT if seed == 0 else SHARP
        changed(path / "result.json", lambda result, ending=ending: result.update(report=ending))
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        lines[-1]["values"] |= ending
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in made.glob("train-mgas-*"):
        run = json.loads((path / "run.json").read_text())
        cut = run["search_seed"] == 1
        changed(path / "run.json", lambda info: info["config"]["architecture"].update(run=info["needs"][0]))
        changed(path / "architecture.json", lambda found, cut=cut: found["provenance"].update(cut_at_epoch_limit=cut))
    sign_again(made)
    return made


def test_notes_of_a_row_in_every_kind_of_table(folder: Path) -> None:
    table = table_of(folder)
    flat = "1 of 2 searches ended with near-uniform gates (entropy 2.079, 2.079 if all were equal): darts"
    cut = "1 of 2 architectures were cut to their size at the epoch limit of the search: mgas"
    text, tex = " ".join(to_text(table).split()), to_latex(table)
    assert flat in text
    assert cut in text
    assert flat in tex
    assert cut in tex


def test_panels_and_drawings_are_flagged(folder: Path) -> None:
    table = table_of(folder)
    curves, _ = read_curves({entry.row.name: entry.row.searches for entry in table.entries})
    for curve in curves["mgas"]:
        curve.values["mgas/cut"] = curve.epochs * 0.0 + (curve.record.info.search_seed == 1)
    titles = {}
    for plot in all_plots(table, curves, Palette(["darts", "mgas"])):
        titles[plot.name] = [axes.get_title() for axes in plot.figure.axes]
        plt.close(plot.figure)
    assert titles["entropy"] == ["darts\n⚠ 1 of 2 near-uniform", "mgas"]
    assert titles["mgas-ratios"][0] == "mgas\n⚠ 1 of 2 cut at the limit\noperations"
    entry = next(entry for entry in table.entries if entry.row.name == "mgas")
    for run in entry.row.trains:
        if run.info.search_seed == 0:
            assert run.result is not None
            run.result["metrics"]["test_error"] = 99.0  # so that the best search is the one that was cut
    found = found_architecture(entry)
    assert found is not None
    assert found[1].endswith("cut to its size at the search's epoch limit")


def test_the_page_says_it(folder: Path, tmp_path: Path) -> None:
    build([folder], tmp_path / "out", ["html"])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "near-uniform gates" in page
    assert "cut to their size" in page


def test_records_that_do_not_say_are_not_flagged(tmp_path: Path) -> None:
    made = experiment(tmp_path, (Kind("darts", "darts", 3.0), Kind("mgas", "mgas", 3.5)), searches=2)
    for path in made.glob("train-mgas-*/architecture.json"):
        path.write_text("[")
    assert not [note for entry in table_of(made).entries for note in entry.row.notes]


def test_the_threshold() -> None:
    """Eight gates whose logarithms have a deviation of .2: entropy log 8 - .2^2 / 2 to second order."""
    logits = [0.2 if k % 2 else -0.2 for k in range(8)]
    total = sum(map(math.exp, logits))
    gates = [math.exp(value) / total for value in logits]
    entropy = -sum(p * math.log(p) for p in gates)
    assert entropy == pytest.approx(UNIFORM - 0.02, abs=1e-3)
    assert entropy / UNIFORM == pytest.approx(NEAR_UNIFORM, abs=1e-3)
    assert is_near_uniform([UNIFORM], UNIFORM)
    assert not is_near_uniform([2.0, 2.1], UNIFORM)
    assert is_near_uniform([2.079, 2.078], UNIFORM)
