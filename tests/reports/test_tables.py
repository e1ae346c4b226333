"""From records to tables: what shares a row and a table, what stays empty, and what bad input does."""

import csv
import io
import json

import numpy as np
import pytest

import reports
from bench.records.directory import read_records
from reports.analysis import analyse
from reports.build import gather
from reports.collect import without_seeds
from reports.row_columns import COLUMNS
from reports.table import to_csv, to_latex, to_markdown, to_text
from tests.reports.synthetic import ENVIRONMENT, KINDS, Kind, experiment, one_train

TABLES = ("csv", "md", "tex")


def tables(*folders):
    return analyse(gather(folders)[0])[0]


def row(table, name):
    return next(entry for entry in table.entries if entry.row.name == name)


def csv_rows(table):
    return {line["method"]: line for line in csv.DictReader(io.StringIO(to_csv(table)))}


def test_numbers_of_a_row(tmp_path):
    for s, errors in enumerate([(3.0, 3.2), (2.0, 2.6)]):
        for r, error in enumerate(errors):
            one_train(tmp_path, "darts", error, s, r)
    entry = tables(tmp_path)[0].entries[0]
    summary = entry.summary
    assert (summary.searches, summary.retrains) == (2, (2, 2))
    assert summary.value == pytest.approx(2.7)
    assert summary.std_searches == pytest.approx(np.std([3.1, 2.3], ddof=1))
    assert summary.std_retrains == pytest.approx(np.sqrt((0.02 + 0.18) / 2))


def test_every_search_weighs_the_same(tmp_path):
    for s, r, error in [(0, 0, 2.0), (0, 1, 2.0), (0, 2, 2.0), (1, 0, 4.0)]:
        one_train(tmp_path, "darts", error, s, r)
    entry = tables(tmp_path)[0].entries[0]
    assert entry.summary.value == pytest.approx(3.0)
    assert "unequal retrainings" in " ".join(entry.row.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"profile": "short"},
        {"dataset": "cifar100"},
        {"config": {"recipe": {"epochs": 300}}},
        {"config": {"data": {"train_images": 5000}}},
        {"config": {"network": {"channels": 8, "cells": 5}}},
    ],
    ids=["profile", "dataset", "recipe", "data", "network"],
)
def test_different_settings_never_share_a_table_or_a_rank(tmp_path, change):
    one_train(tmp_path, "darts", 3.0)
    one_train(tmp_path, "pc-darts", 2.0, **change)
    found = tables(tmp_path)
    assert [[entry.row.label for entry in table.entries] for table in found].count(["darts"]) == 1
    assert all(entry.rank == 1 for table in found for entry in table.entries)
    assert len(found) == 2


def test_finetuned_and_scratch_are_two_rows(tmp_path):
    names = {entry.row.name for table in tables(experiment(tmp_path, KINDS[-2:])) for entry in table.entries}
    assert names == {"l1-filters", "l1-filters (fine-tuned)"}


def test_one_label_with_two_configurations_is_two_rows(tmp_path):
    one_train(tmp_path, "darts", 3.0, 0, config={"evaluate_every": 1})
    one_train(tmp_path, "darts", 2.0, 1, config={"evaluate_every": 5})
    found, problems = analyse(read_records(tmp_path)[0])
    assert len(found[0].entries) == 2
    assert len({entry.row.name for entry in found[0].entries}) == 2
    assert "2 different configurations" in problems[0]


def test_search_cost_counts_every_search_once(tmp_path):
    """Four searches of 9.6 hours, each retrained twice."""
    entry = row(tables(experiment(tmp_path, KINDS[:1]))[0], "darts")
    assert entry.summary.search_hours == pytest.approx(4 * 9.6)


def test_search_cost_counts_searches_that_were_never_retrained(tmp_path):
    folder = experiment(tmp_path, KINDS[:1])
    for path in folder.glob("train-darts-s3-*"):
        (path / "run.json").unlink()
    entry = row(tables(folder)[0], "darts")
    assert entry.summary.searches == 3
    assert entry.summary.search_hours == pytest.approx(4 * 9.6)


def test_published_values_only_at_the_paper_profile(tmp_path):
    paper = tables(experiment(tmp_path, KINDS[:3]))[0]
    quick = tables(experiment(tmp_path, KINDS[:3], profile="quick"))[0]
    assert csv_rows(paper)["darts-2nd"]["published"] == "2.76"
    assert "published" not in csv_rows(quick)["darts-2nd"]
    assert csv_rows(quick)["darts-2nd"]["verdict"] == "not comparable: reduced schedule"
    assert "2.76" not in to_text(quick).replace("2.76-", "").replace("-2.76", "")


def test_missing_values_stay_empty(tmp_path):
    run = one_train(tmp_path, "darts", 3.0)
    result = json.loads((run.path / "result.json").read_text())
    result["costs"] = {"params": 1e6, "macs": None}
    (run.path / "result.json").write_text(json.dumps(result))
    line = csv_rows(tables(tmp_path)[0])["darts"]
    assert line["params"] == "1000000.0"
    for key in ("macs", "macs_sparse", "search_hours", "search_memory", "train_memory", "std_searches", "interval"):
        assert line[key] == "", key


def test_a_dash_stands_where_a_row_can_have_no_such_number(tmp_path):
    table = tables(experiment(tmp_path, KINDS[:4]))[0]
    cells = {entry.row.name: {column.key: column.text(entry) for column in COLUMNS} for entry in table.entries}
    dashes = {name: {key for key, text in row.items() if text == "–"} for name, row in cells.items()}
    assert dashes == {
        "darts": set(),
        "darts-2nd": set(),
        "random": {"ri", "search_memory"},
        "DARTS_V2": {"std_searches", "seeds_wanted", "search_memory"},
    }
    assert csv_rows(table)["DARTS_V2"]["std_searches"] == ""


def test_text_fits_a_terminal(tmp_path):
    text = to_text(tables(experiment(tmp_path))[0])
    assert max(map(len, text.splitlines())) <= 160
    assert "profile paper" in text
    assert "cifar10" in text


def test_latex_is_escaped_and_complete(tmp_path):
    text = to_latex(tables(experiment(tmp_path, KINDS[:4]))[0])
    assert "DARTS\\_V2" in text
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1
    body = text[text.index("\\midrule") : text.index("\\bottomrule")]
    columns = len(text[text.index("\\begin{tabular}{") + 16 :].split("}", 1)[0])
    assert all(line.count(" & ") + line.count("& ") >= 1 for line in body.splitlines()[1:])
    assert all(len(line.split("&")) == columns for line in body.splitlines()[1:])


def test_markdown_has_one_line_a_row(tmp_path):
    lines = [line for line in to_markdown(tables(experiment(tmp_path, KINDS[:4]))[0]).splitlines() if line[:1] == "|"]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1


def test_raw_rows_reproduce_the_means(tmp_path):
    folder = experiment(tmp_path / "runs", KINDS[:2])
    reports.build([folder], tmp_path / "out", ["csv"])
    raw = list(csv.DictReader((tmp_path / "out" / "runs.csv").open()))
    mean = np.mean([float(line["test_error"]) for line in raw if line["method"] == "darts"])
    assert mean == pytest.approx(row(tables(folder)[0], "darts").summary.value)


def test_a_corrupt_record_is_named_and_skipped(tmp_path):
    folder = experiment(tmp_path / "runs", KINDS[:3])
    bad = next(folder.glob("train-darts-s0-r0-*"))
    (bad / "result.json").write_text('{"schema": 1, "metr')
    result = reports.build([folder], tmp_path / "out", TABLES)
    assert len(result.problems) == 1
    assert bad.name in result.problems[0]
    assert bad.name in result.table
    assert "darts" in result.table


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("result.json", {"metrics": None}),
        ("result.json", {"metrics": [1]}),
        ("result.json", {"costs": "many"}),
        ("result.json", {"metrics": {"test_error": float("nan")}}),
        ("run.json", {"config": "x"}),
        ("run.json", {"schema": 99}),
        ("run.json", {"unknown": 1}),
    ],
)
def test_odd_records_are_named_and_the_others_stay(tmp_path, file, change):
    folder = experiment(tmp_path / "runs", KINDS[:2])
    bad = next(folder.glob("train-darts-s1-r0-*"))
    (bad / file).write_text(json.dumps({**json.loads((bad / file).read_text()), **change}))
    result = reports.build([folder], tmp_path / "out", TABLES)
    assert [bad.name in problem for problem in result.problems] == [True]
    assert "darts-2nd" in result.table


def test_no_random_sampling_is_said(tmp_path):
    text = to_text(tables(experiment(tmp_path, KINDS[:2]))[0])
    assert "no random sampling" in text


def test_too_few_seeds_are_said(tmp_path):
    text = to_text(tables(experiment(tmp_path, KINDS[:3], searches=2))[0])
    assert "too few seeds: the smallest row has 2 searches" in " ".join(text.split())


def test_one_run_only(tmp_path):
    one_train(tmp_path / "runs", "darts", 3.0)
    text = reports.build([tmp_path / "runs"], tmp_path / "out", TABLES).table
    assert "one search only" in text
    assert "3.00" in text


@pytest.mark.parametrize("status", ["pending", "running", "failed", "interrupted"])
def test_no_finished_run(tmp_path, status):
    one_train(tmp_path / "runs", "darts", 3.0, status=status)
    with pytest.raises(reports.ReportError, match=f"no finished retraining .*1 {status}.*dasbench run"):
        reports.build([tmp_path / "runs"], tmp_path / "out", TABLES)
    assert not (tmp_path / "out").exists()


def test_no_folder_and_empty_folder(tmp_path):
    with pytest.raises(reports.ReportError, match="no such folder"):
        reports.build([tmp_path / "nowhere"], tmp_path / "out", TABLES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(reports.ReportError, match="no runs in"):
        reports.build([tmp_path / "empty"], tmp_path / "out", TABLES)


def test_unknown_format_lists_the_known(tmp_path):
    with pytest.raises(reports.ReportError, match="unknown format 'xlsx'; known: csv"):
        reports.build([tmp_path], tmp_path / "out", ["xlsx"])


def test_merge_pools_seeds_of_two_folders(tmp_path):
    for folder, seeds in (("a", (0, 1)), ("b", (2, 3))):
        for s in seeds:
            one_train(tmp_path / folder, "darts", 3.0 + s / 10, s)
    entry = tables(tmp_path / "a", tmp_path / "b")[0].entries[0]
    assert entry.summary.searches == 4


def test_merge_counts_a_run_in_two_folders_once_and_names_a_contradiction(tmp_path):
    folders = [tmp_path / "a" / "synthetic", tmp_path / "b" / "synthetic"]
    one, other = (one_train(folder, "darts", 3.0).path for folder in folders)
    assert one.name == other.name
    found, problems = analyse(gather(folders)[0])
    assert [entry.summary.runs for entry in found[0].entries] == [1]
    assert problems == []
    result = json.loads((other / "result.json").read_text())
    result["metrics"] |= {"test_error": 4.0, "test_accuracy": 96.0}
    (other / "result.json").write_text(json.dumps(result))
    problems = analyse(gather(folders)[0])[1]
    assert "same run with different results" in problems[0]


def test_merge_shows_a_run_under_the_rows_of_both_folders(tmp_path):
    folders = [tmp_path / "a" / "synthetic", tmp_path / "b" / "synthetic"]
    for path in (one_train(folder, "darts", 3.0).path for folder in folders):
        if path.is_relative_to(folders[1]):
            path.joinpath("run.json").write_text((path / "run.json").read_text().replace('"darts"', '"baseline"', 1))
    found, problems = analyse(gather(folders)[0])
    assert {entry.row.label: entry.summary.runs for entry in found[0].entries} == {"darts": 1, "baseline": 1}
    assert (found[0].comparisons, problems) == ({}, [])


def test_rows_of_the_same_runs_are_no_two_samples(tmp_path):
    """Two rows with one configuration: what is tested, corrected and lettered is as without the second."""
    kinds = (KINDS[0], KINDS[2], KINDS[3], KINDS[4])
    (alone,) = tables(experiment(tmp_path / "alone", kinds))
    folder = experiment(tmp_path / "both", kinds)
    for path in folder.glob("train-*/run.json"):
        info = json.loads(path.read_text())
        also = [f"{info['label']} again"] if info["label"] in ("darts", "random") else []
        path.write_text(json.dumps(info | {"also": also}))
    (both,) = tables(folder)
    assert len(both.entries) == len(alone.entries) + 2
    assert both.twins == {"darts again": "darts", "random again": "random"}
    assert (both.adjusted, set(both.comparisons)) == (alone.adjusted, set(alone.comparisons))
    for label in ("darts", "random"):
        first, again, before = row(both, label), row(both, f"{label} again"), row(alone, label)
        assert first.letters == again.letters == before.letters
        assert first.rank == again.rank
        assert first.seeds_wanted == again.seeds_wanted == before.seeds_wanted
        assert first.improvement == again.improvement == before.improvement
    assert "darts again is made of the same runs as darts: the two are not compared" in to_text(both)


@pytest.mark.parametrize("what", ["options", "seed"])
def test_a_record_whose_configuration_was_changed_is_named_and_left_out(tmp_path, what):
    folder = experiment(tmp_path / "runs", KINDS[:2])
    path = next(folder.glob("train-darts-s1-r0-*/run.json"))
    info = json.loads(path.read_text())
    if what == "seed":
        info["retrain_seed"] = 7
    else:
        info["config"]["recipe"]["lr"] = 0.5
    path.write_text(json.dumps(info))
    result = reports.build([folder], tmp_path / "out", TABLES)
    (problem,) = result.problems
    assert path.parent.name in problem
    assert problem.endswith("it was changed; left out")
    assert row(tables(folder)[0], "darts").summary.runs == 7


def test_a_folder_of_experiments_stands_for_all_of_them(tmp_path):
    experiment(tmp_path, KINDS[:1])
    experiment(tmp_path, KINDS[:1], profile="quick")
    assert {table.setting.profile for table in tables(tmp_path)} == {"paper", "quick"}


def test_unfinished_retrainings_are_counted_in_a_note(tmp_path):
    one_train(tmp_path, "darts", 3.0, 0)
    one_train(tmp_path, "darts", 3.0, 1, status="failed")
    assert tables(tmp_path)[0].entries[0].row.notes == ["1 of 2 retrainings finished, 1 failed"]


def test_separated_rows_do_not_share_a_letter(tmp_path):
    kinds = (Kind("good", "darts", 2.0, between=0.05), Kind("bad", "pc_darts", 5.0, between=0.05))
    table = tables(experiment(tmp_path, kinds, searches=5))[0]
    assert [entry.letters for entry in table.entries] == ["a", "b"]


def test_where_a_given_file_lay_does_not_split_its_row():
    """Older records name the file; moved or merged, it is one architecture by its digest."""
    here, there, now = ({**where, "digest": "d"} for where in ({"file": "/a/c.json"}, {"file": "/b/c.json"}, {}))
    plain = [without_seeds({"architecture": each, "retrain_seed": 0}) for each in (here, there, now)]
    assert plain[0] == plain[1] == plain[2] == {"architecture": {"digest": "d"}}


def test_runs_on_other_data_stand_in_another_table(tmp_path):
    """Records that do not say what the data were, or ended before they opened the test images, stand with the others
    while there is only one kind."""
    before = {"data": {"train": {"digest": "a" * 16}, "test": {"digest": "b" * 16}}}
    after = {"data": {**before["data"], "train": {"digest": "c" * 16}}}
    half = {"data": {"train": before["data"]["train"]}}
    for seed, data in enumerate([before, before, half]):
        one_train(tmp_path, "darts", 3.0, r=seed, environment={**ENVIRONMENT, **data})
    tables, problems = analyse(gather([tmp_path])[0])
    assert ([table.entries[0].summary.runs for table in tables], problems) == ([3], [])
    one_train(tmp_path, "darts", 9.0, r=3, environment={**ENVIRONMENT, **after})
    tables, problems = analyse(gather([tmp_path])[0])
    assert sorted(table.entries[0].summary.runs for table in tables) == [1, 1, 2]
    assert len({table.setting.title for table in tables}) == 3
    assert "2 different sets of images" in problems[0]


def test_a_run_that_two_commits_made_names_both(tmp_path):
    one_train(tmp_path, "darts", 3.0, environment={**ENVIRONMENT, "commits": ["a" * 40, "b" * 40 + "+dirty"]})
    (table,), _ = analyse(gather([tmp_path])[0])
    assert "runs of 2 commits, 1 of them continued at another than they began" in table.entries[0].row.notes
    assert "made from a working tree with uncommitted changes" in table.entries[0].row.notes
