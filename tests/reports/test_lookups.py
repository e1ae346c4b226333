"""Reports of look-ups: a batch of seeds is one line, its numbers are the table's, its verdict says what differs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from bench.data.tables import get_table
from bench.records.directory import read_records
from bench.run.table_search import Answers
from methods.parts.watched import SKIPS
from reports.curves import read_curves
from reports.lookups import published
from reports.lookups.columns import lookup_columns
from reports.lookups.formats import to_csv, to_text
from reports.lookups.plots import by_evaluation
from reports.lookups.rows import LookupRow, lookup_rows
from reports.lookups.tables import LookupTable, lookup_tables
from reports.watched import flagged
from tests.reports.looked_up import write_batch, write_lookup


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers(get_table("nasbench201"), "cifar10", 200)


def read(folder: Path) -> list[LookupRow]:
    rows, problems = lookup_rows(read_records(folder)[0])
    assert problems == []
    return rows


def table_of(folder: Path) -> LookupTable:
    [table] = lookup_tables(read(folder))
    return table


def test_hundreds_of_seeds_are_one_line_with_the_tables_numbers(tmp_path: Path, answers: Answers) -> None:
    path = write_batch(tmp_path, answers, "random", "random_sampling", 300)
    table = table_of(tmp_path)
    lines = [json.loads(line) for line in (path / "seeds.jsonl").read_text().splitlines()]
    indices = [line["answers"][1]["index"] for line in lines]
    test, best = answers.table.final("cifar10", 200), answers.table.final("cifar10", 200).max()
    [line] = csv.DictReader(io.StringIO(to_csv(table)))
    assert (line["method"], line["kind"], line["seeds"], line["evaluations"]) == ("random", "look-up", "300", "10")
    assert float(line["test"]) == pytest.approx(test[indices].mean())
    assert float(line["test_std"]) == pytest.approx(test[indices].std(ddof=1), abs=1e-6)
    low, high = map(float, line["interval"].split())
    assert low < float(line["test"]) < high
    assert float(line["regret"]) == pytest.approx(best - test[indices].mean())
    ranks = [1 + int((test > test[index]).sum()) for index in indices]
    assert float(line["rank_of_answer"]) == pytest.approx(np.median(ranks))
    others = answers.table.final("cifar100", 200)[indices]
    assert float(line["test_cifar100"]) == pytest.approx(others.mean())
    after = [entry["answers"][2]["index"] for entry in lines]
    assert float(line["test_at_20"]) == pytest.approx(test[after].mean())


def test_trajectories_hold_between_their_steps(tmp_path: Path, answers: Answers) -> None:
    write_batch(tmp_path, answers, "random", "random_sampling", 4)
    [row] = read(tmp_path)
    row.trajectories, row.evaluations = [[[1, 7, 50.0, 60.0], [3, 8, 55.0, 59.0]]], 4
    steps, scores = by_evaluation(row, 2)
    assert (steps.tolist(), scores.tolist()) == ([1, 2, 3, 4], [[50.0, 50.0, 55.0, 55.0]])
    assert by_evaluation(row, 3)[1].tolist() == [[60.0, 60.0, 59.0, 59.0]]  # the test value may fall


@pytest.mark.parametrize(("shift", "text"), [(0.0, "reproduced"), (0.3, "reproduced"), (-0.3, "not reproduced")])
def test_the_verdict_follows_from_both_intervals_and_says_what_differs(
    tmp_path: Path, answers: Answers, shift: float, text: str
) -> None:
    write_batch(tmp_path, answers, "random", "random_sampling", 300)
    [row] = read(tmp_path)
    noise = np.random.default_rng(0).normal(size=500)
    row.test = 93.70 + shift + 0.36 * (noise - noise.mean()) / noise.std(ddof=1)
    verdict = published.judge(row)
    assert verdict is not None
    assert verdict.text == text
    assert "93.70 ± 0.36" in verdict.reason
    assert "budget 10 evaluations, published seconds" in verdict.reason


def test_what_is_not_alike_or_not_known_gets_no_verdict(tmp_path: Path, answers: Answers) -> None:
    write_batch(tmp_path, answers, "draw", "random_sampling", 20, (1,), 1, {"samples": 1})
    write_batch(tmp_path, answers, "evolution", "regularized_evolution", 20)
    write_batch(tmp_path, answers, "local", "local_search", 20)
    found = {row.label: published.judge(row) for row in read(tmp_path)}
    assert found["draw"] is not None
    assert found["draw"].text.startswith("not comparable: one proposal")
    assert found["evolution"] is not None
    assert found["evolution"].text == ""
    assert "not available" in found["evolution"].reason
    assert found["local"] is None


def test_nasbench_macro_is_selected_on_a_test_run(tmp_path: Path, answers: Answers) -> None:
    write_batch(tmp_path, answers, "random", "random_sampling", 20)
    [row] = read(tmp_path)
    row.setting = row.setting.__class__("cifar10", "quick", "nasbench_macro", 50)
    verdict = published.judge(row)
    assert verdict is not None
    assert verdict.text == "selected on a test run"


def test_published_values_carry_their_source() -> None:
    found = published.published("nasbench201")
    assert len(found) > 10
    for each in found:
        assert each.quoted_in or (each.mean is None and each.note), each
    darts = next(each for each in found if (each.method, each.dataset, each.split) == ("darts", "cifar10", "test"))
    assert (darts.mean, darts.std) == (54.30, 0.0)


def test_a_cut_file_of_seeds_is_named_and_the_others_stay(tmp_path: Path, answers: Answers) -> None:
    path = write_batch(tmp_path, answers, "random", "random_sampling", 10)
    write_batch(tmp_path, answers, "evolution", "regularized_evolution", 10)
    lines = (path / "seeds.jsonl").read_text().splitlines()
    (path / "seeds.jsonl").write_text("\n".join(lines[:4]) + "\n")
    rows, problems = lookup_rows(read_records(tmp_path)[0])
    assert [row.label for row in rows] == ["evolution"]
    assert len(problems) == 1
    assert "4 of 10 seeds" in problems[0]


def test_thirty_rows_in_every_format(tmp_path: Path, answers: Answers) -> None:
    for number in range(30):
        write_batch(tmp_path / "nas-quick", answers, f"row <{number:02}>", "random_sampling", 12)
    made = reports.build([tmp_path / "nas-quick"], tmp_path / "out", ["csv", "md", "tex", "svg", "html"])
    assert made.problems == []
    assert sum("row <" in line for line in made.table.splitlines() if " look-up " in line) == 30
    assert "nothing was retrained" in made.table
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('data-name="row &lt;') == 30
    assert "row <" not in page.split("<script>")[0]
    names = {path.name.rsplit("-", 1)[1] for path in (tmp_path / "out" / "plots").iterdir()}
    assert names == {"trajectory.svg", "regret.svg"}
    assert len(page) < 2_000_000


def test_no_row_says_more_than_its_seeds(tmp_path: Path, answers: Answers) -> None:
    write_batch(tmp_path, answers, "one", "random_sampling", 1)
    text = to_text(table_of(tmp_path))
    assert "nan" not in text
    assert text.splitlines()[4].count("±") == 1  # the published value's


def test_no_published_value_stands_beside_a_row_that_is_not_comparable(tmp_path: Path, answers: Answers) -> None:
    write_batch(tmp_path, answers, "draw", "random_sampling", 20, (1,), 1, {"samples": 1})
    write_batch(tmp_path, answers, "search", "random_sampling", 20)
    table = table_of(tmp_path)
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(to_csv(table)))}
    assert {name: line["published"] for name, line in lines.items()} == {"draw": "", "search": "93.70 ± 0.36"}
    [note] = [note for note in table.verdicts if note.startswith("draw: not comparable")]
    assert "93.70 ± 0.36" in note


def test_agreement_of_a_searchs_scores_with_the_table(tmp_path: Path) -> None:
    """Mean over seeds; a tau that is not defined counts for none, and chance is k of the networks."""
    found: list[dict[str, Any] | None] = [
        {"networks": 20, "kendall_tau": -0.3, "top": {"10": 0.3}},
        {"networks": 40, "kendall_tau": 0.1, "top": {"10": 0.6}},
        {"networks": 40, "kendall_tau": None, "top": {"10": 0.9}},
    ]
    for seed, each in enumerate(found):
        write_lookup(tmp_path, "shared", seed, each)
    write_lookup(tmp_path, "gradient", 0, None)
    table = table_of(tmp_path)
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(to_csv(table)))}
    assert float(lines["shared"]["kendall_tau"]) == pytest.approx(-0.1)
    assert float(lines["shared"]["top_10"]) == pytest.approx(60.0)
    assert (lines["gradient"]["kendall_tau"], lines["gradient"]["top_10"]) == ("", "")
    [note] = [note for note in table.notes if note.startswith("shared: its scores order 20 to 40 networks")]
    assert "Kendall's tau -0.10 ± 0.28 (of 2 of 3 seeds" in note
    assert "60 % of the best 10 in common, by chance 33 %" in note
    assert "-0.10 ± 0.28" in to_text(table)


def test_without_scores_there_is_no_column_of_agreement(tmp_path: Path) -> None:
    write_lookup(tmp_path, "gradient", 0, None)
    assert not {"kendall_tau", "top_10"} & {column.key for column in lookup_columns(table_of(tmp_path))}


def test_an_agreement_that_cannot_be_is_named(tmp_path: Path) -> None:
    write_lookup(tmp_path, "shared", 0, {"networks": 20, "kendall_tau": 7.0, "top": {}})
    rows, problems = lookup_rows(read_records(tmp_path)[0])
    assert rows == []
    assert "Kendall's tau is 7.0" in problems[0]


def test_searches_that_are_looked_up_have_their_figures(tmp_path: Path) -> None:
    """Skip connections of the only kind of cell: four of them are flagged."""
    for seed, skips in enumerate((1, 4)):
        counts = {"arch/operations/skip_connect": skips, "arch/operations/nor_conv_3x3": 6 - skips}
        values = {"arch/skips": skips, "arch/entropy": 1.5, **counts}
        write_lookup(tmp_path / "nas-quick", "gradient", seed, None, [values] * 3)
    table = table_of(tmp_path / "nas-quick")
    curves, problems = read_curves({entry.row.label: entry.row.searches for entry in table.entries})
    assert problems == []
    assert [flagged(SKIPS, curve) for curve in curves["gradient"]] == [False, True]
    made = reports.build([tmp_path / "nas-quick"], tmp_path / "out", ["svg", "html"])
    assert made.problems == []
    names = {path.name.rsplit("-", 1)[1] for path in (tmp_path / "out" / "plots").iterdir()}
    assert names == {"regret.svg", "operations.svg", "skips.svg", "entropy.svg"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "(of 6 in NAS-Bench-201); a search that ends with 4 or more (dots) is flagged as collapsed" in page
    assert "1 of 2 collapsed" in page
    assert "gradient, search seed 1, collapsed" in page
