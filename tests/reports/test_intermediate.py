"""Intermediate trainings: a fact of the plan, shown below the table and ranked nowhere."""

import csv
import io
import json

import pytest

import reports
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from reports.analysis import analyse
from reports.build import gather
from reports.raw import runs_csv
from reports.table import to_csv, to_latex, to_markdown, to_text
from tests.reports.synthetic import KINDS, RECIPE, experiment, one_train

PENALTY = {"method": "network_slimming", "options": {"penalty": 1e-4}}
WORDS = "trained with the penalty of network_slimming (penalty 0.0001), for transforms to start from; test error 1.00 %"


def config(**more):
    return {"architecture": {"published": "DARTS_V2"}, "penalty": None, **more}


def train(folder, label, error, **more):
    return one_train(folder, label, error, None, method="published", recipe={"name": RECIPE}, config=config(**more))


@pytest.fixture
def folder(tmp_path):
    """Six rows, and the best error of all in a training that only a transform asked for."""
    made = experiment(tmp_path / "runs", KINDS[:6], searches=2, retrains=1, epochs=0, architectures=False)
    train(made, "DARTS_V2-penalised", 1.0, penalty=PENALTY)
    return made


def test_the_plan_says_which_trainings_are_intermediate():
    runs = plan(load_experiment("demo"), "quick")
    assert {info.label for info in runs if info.intermediate} == {"DARTS_V2-penalised"}
    assert all(bool(info.config.get("penalty")) == info.intermediate for info in runs)


def test_it_stands_below_the_table_and_in_no_statistic(folder):
    (table,), problems = analyse(gather([folder])[0])
    assert problems == []
    assert [entry.row.label for entry in table.intermediate] == ["DARTS_V2-penalised"]
    assert "DARTS_V2-penalised" not in {entry.row.label for entry in table.entries}
    assert table.entries[0].rank == 1
    assert not any("DARTS_V2-penalised" in pair for pair in table.comparisons)
    assert "DARTS_V2-penalised" not in to_csv(table)
    for text in (to_text(table), to_markdown(table), to_latex(table)):
        flat = " ".join(text.replace("\\", "").split())
        assert WORDS.replace("%", "").strip() in flat.replace("%", "").replace("1.00  (", "1.00 (")
        assert "not ranked, an intermediate training: DARTS_V2-penalised: " in flat


def test_its_runs_are_among_the_raw_ones(folder):
    tables, _ = analyse(gather([folder])[0])
    lines = list(csv.DictReader(io.StringIO(runs_csv(tables))))
    assert {line["method"]: line["intermediate"] for line in lines}["DARTS_V2-penalised"] == "True"
    assert {line["intermediate"] for line in lines if line["method"] != "DARTS_V2-penalised"} == {"False"}


def test_a_record_from_before_the_plan_said_so(folder):
    (path,) = folder.glob("train-DARTS_V2-penalised*/run.json")
    content = json.loads(path.read_text())
    assert content.pop("intermediate") is True
    path.write_text(json.dumps(content))
    (table,), _ = analyse(gather([folder])[0])
    assert [entry.row.label for entry in table.intermediate] == ["DARTS_V2-penalised"]


def test_a_row_of_such_a_name_is_a_row(folder):
    """The plan decides, not the name."""
    train(folder, "mine-penalised", 2.0)
    (table,), _ = analyse(gather([folder])[0])
    assert table.entries[0].row.label == "mine-penalised"


def test_the_page_shows_it_below_the_table(folder, tmp_path):
    reports.build([folder], tmp_path / "out", ["html"])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<h3>Intermediate trainings</h3>" in page
    assert page.index(WORDS) > page.index("</table>")
    assert page.count("DARTS_V2-penalised") == 1
