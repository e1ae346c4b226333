"""Rows that start from the finished searches of another experiment; networks that are counted; profiles like others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cli import main
from bench.config import ConfigError
from bench.plan.experiment import experiment_path, load_experiment
from bench.plan.runs import plan
from bench.plan.shared_profiles import with_shared
from bench.plan.transfers import find_transfers
from bench.records.directory import RunDirectory, RunInfo, read_record, read_records, run_paths
from bench.records.inputs import found_architecture
from bench.run.one_run import DONE, execute
from methods.spaces.stages.space import cells_within
from reports.analysis import analyse
from tests.bench.conftest import TINY, Forked

Search = Callable[[], RunDirectory]
ROWS: dict[str, Any] = {
    "mine": {"transfer": {"experiment": "source.yaml", "row": "darts"}, "note": "a note of mine"},
    "DARTS_V2": {"published": "DARTS_V2"},
}


def write(folder: Path, rows: dict[str, Any] | None = None, **profile: Any) -> str:
    """source.yaml, which searches, and target.yaml, whose rows start from it."""
    content = yaml.safe_load(TINY.read_text())
    (folder / "source.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    content["rows"] = rows or ROWS
    content["profiles"]["tiny"] |= {
        "recipe_changes": {"epochs": 1, "batch_size": 32, "augmentation": "crop"},
        **profile,
    }
    (folder / "target.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return str(folder / "target.yaml")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The row darts of source.yaml, searched once with seed 0."""
    folder = tmp_path_factory.mktemp("searched")
    write(folder)
    info = plan(load_experiment(str(folder / "source.yaml")), "tiny", ["darts"], [0])[0]
    directory = RunDirectory(folder / "runs" / "source-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    return directory.path


@pytest.fixture
def search(searched: Path, tmp_path: Path) -> Callable[[], RunDirectory]:
    """Puts that search among the runs of this test."""

    def put() -> RunDirectory:
        path = tmp_path / "runs" / "source-tiny" / searched.name
        shutil.copytree(searched, path)
        return RunDirectory(path)

    return put


def planned(folder: Path, rows: list[str] | None = None, seeds: list[int] | None = None) -> list[RunInfo]:
    experiment = load_experiment(str(folder / "target.yaml"))
    transfers = find_transfers(experiment, "tiny", folder / "runs", rows, seeds)
    return plan(experiment, "tiny", rows, seeds, transfers=transfers)


@pytest.fixture(autouse=True)
def forks_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.warm.Forks", Forked)


def run(folder: Path, *more: str) -> int:
    where = ["--runs-dir", str(folder / "runs"), "--profile", "tiny", "--no-tracking", "--device", "cpu", "--jobs", "1"]
    return main(["run", str(folder / "target.yaml"), *where, *more])


def test_a_search_of_another_experiment_is_brought_over_with_its_costs(
    tmp_path: Path, search: Search, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    source = read_record(search().path)
    assert run(tmp_path, "--methods", "mine") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "mine starts from 1 searches; that of seed 1 is not finished" in said
    assert f"dasbench run {tmp_path / 'source.yaml'} --profile tiny --methods darts" in said
    shutil.rmtree(tmp_path / "runs" / "source-tiny")  # nothing depends on it any more
    records, problems = read_records(tmp_path / "runs" / "target-tiny")
    assert not problems
    found, training = sorted(records, key=lambda record: record.info.phase)
    assert found.info.signature == source.info.signature
    assert (found.info.experiment, found.info.label) == ("target", "mine")
    assert {key: found.info.origin[key] for key in ("experiment", "profile", "row", "run")} == {
        "experiment": "source", "profile": "tiny", "row": "darts", "run": source.path.name
    }  # fmt: skip
    assert found.result is not None
    assert training.result is not None
    assert source.result is not None
    assert training.info.config["architecture"]["found"] == found.result["architecture"]
    assert (training.info.needs, training.info.search_seed) == ([found.info.signature], 0)
    assert training.info.method == "darts"
    assert training.result["architecture"] == source.result["architecture"]
    assert training.result["costs"]["search_device_s"] == source.result["costs"]["device_s"]
    assert found_architecture(training).provenance["experiment"] == "source"
    ((entry,),) = [table.entries for table in analyse(records)[0]]
    assert entry.summary.search_hours == pytest.approx(source.result["costs"]["device_s"] / 3600)
    assert {"a note of mine", f"found by row 'darts' of source, profile tiny: {source.path.name}"} <= set(
        entry.row.notes
    )


def test_without_finished_searches_the_other_rows_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = {**ROWS, "half": {"method": "l1_filter_pruning", "of": "mine", "options": {"ratio": 0.5, "of": "params"}}}
    write(tmp_path, rows)
    assert run(tmp_path, "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Left out, because the searches that they start from are not finished in RUNS_DIR: mine, half." in said
    assert {label for info in planned(tmp_path) for label in info.rows} == {"DARTS_V2"}
    assert run(tmp_path, "--methods", "half") == 2
    assert "To make them: dasbench run" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_transform_starts_from_a_transferred_network(tmp_path: Path, search: Search) -> None:
    rows = {**ROWS, "half": {"method": "l1_filter_pruning", "of": "mine", "options": {"ratio": 0.5, "of": "params"}}}
    write(tmp_path, rows)
    search()
    runs = planned(tmp_path, ["half"])
    assert [(info.phase, info.search_seed) for info in runs] == [
        ("search", 0), ("train", 0), ("transform", 0), ("train", 0), ("train", 0)
    ]  # fmt: skip


def of_source(**more: Any) -> dict[str, Any]:
    return {"of": {"experiment": "source.yaml", "row": "darts"}, **more}


STARTED: dict[str, Any] = {
    "random": {"method": "random_sampling", "options": {"space": "stage_graph_xs"}, **of_source()},
    "again": {"method": "random_sampling", "options": {"space": "stage_graph_xs", "samples": 1}, **of_source()},
    "half": {"method": "l1_filter_pruning", "options": {"ratio": 0.5, "of": "params"}, **of_source()},
}


def test_a_row_starts_from_a_search_of_another_experiment(
    tmp_path: Path, search: Search, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seeds, needs, signature, provenance and cost are carried through; no line of its own is retrained."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, STARTED)
    source = read_record(search().path)
    runs = planned(tmp_path, ["random", "again"])
    assert [(info.phase, info.search_seed) for info in runs] == [("search", 0), ("search", 0), ("train", 0)]
    assert runs[1].rows == ["random", "again"]
    assert runs[1].needs == [source.info.signature] == [runs[0].signature]
    assert source.result is not None
    found = {"run": source.info.signature, "select": None, "found": source.result["architecture"]}
    assert runs[1].config["start"] == found
    assert run(tmp_path, "--methods", "random") == 0
    assert "is not finished" in " ".join(capsys.readouterr().out.split())  # the source's other seed
    shutil.rmtree(tmp_path / "runs" / "source-tiny")
    records = {
        record.info.phase + record.info.label: record for record in read_records(tmp_path / "runs" / "target-tiny")[0]
    }
    carried, started = records["searchdarts-of-source"], records["searchrandom"]
    assert carried.info.origin["row"] == "darts"
    assert cells_within(found_architecture(started)) == cells_within(found_architecture(carried))
    trained = records["trainrandom"].result
    assert trained is not None
    assert started.result is not None
    spent = sum((each.result or {})["costs"]["device_s"] or 0.0 for each in (carried, started))
    assert trained["costs"]["search_device_s"] == pytest.approx(spent)
    (table,), problems = analyse(list(records.values()))
    assert not problems
    assert [entry.row.name for entry in table.entries] == ["random"]


def test_without_that_search_there_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {**STARTED, "DARTS_V2": {"published": "DARTS_V2"}})
    assert {label for info in planned(tmp_path) for label in info.rows} == {"DARTS_V2"}
    assert run(tmp_path, "--methods", "random") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "not finished in RUNS_DIR: random. To make them: dasbench run" in said
    assert "--profile tiny --methods darts" in said
    assert run(tmp_path, "--methods", "darts-of-source") == 2
    assert "only what others start from; name one of random, again, half" in " ".join(capsys.readouterr().err.split())


def test_a_transform_of_a_search_of_another_experiment(tmp_path: Path, search: Search) -> None:
    write(tmp_path, STARTED)
    search()
    phases = [(info.phase, info.search_seed) for info in planned(tmp_path, ["half"])]
    assert phases == [("search", 0), ("train", 0), ("transform", 0), ("train", 0), ("train", 0)]


@pytest.mark.parametrize(
    ("of", "rows", "message"),
    [
        ({"experiment": "sorce", "row": "darts"}, {}, "unknown experiment 'sorce'"),
        ({"experiment": "source.yaml"}, {}, "rows.mine.of: 'row' is missing"),
        ({"experiment": "source.yaml", "row": "dart"}, {}, "has no row 'dart'; did you mean 'darts'"),
        ({"experiment": "cifar10", "row": "darts"}, {}, "has no profile 'tiny'; name the one to start from"),
        (of_source()["of"], {"darts-of-source": {"method": "darts"}}, "there is a row 'darts-of-source' already"),
    ],
)
def test_a_start_that_cannot_be_is_named(
    tmp_path: Path, of: dict[str, Any], rows: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, {"mine": {"method": "hs_das", "of": of}, **rows}))


def test_a_signature_holds_what_was_found_and_no_path(tmp_path: Path, search: Search) -> None:
    write(tmp_path)
    directory = search()
    first = planned(tmp_path)
    directory.path.rename(directory.path.with_name(f"search-other-name-{directory.path.name[-10:]}"))
    moved = planned(tmp_path)
    assert [info.signature for info in moved] == [info.signature for info in first]
    assert moved[0].origin != first[0].origin
    path = Path(moved[0].origin["directory"]) / "result.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["architecture"], "0" * 16))
    other = planned(tmp_path)
    assert other[0].signature == first[0].signature
    assert other[1].signature != first[1].signature


def test_a_search_that_changed_since_it_was_planned_is_not_brought_over(
    tmp_path: Path, search: Search, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    directory = search()
    with open(directory.path / "metrics.jsonl", "a") as file:
        file.write("{}")
    assert run(tmp_path, "--methods", "mine") != 0
    assert "is not as its run left it" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("target-tiny/*/result.json"))


def test_what_a_row_selects_there_is_taken_here(tmp_path: Path, search: Search) -> None:
    """A family, as MGAS gives one; its smallest member."""
    rows = {"mine": {"transfer": {"experiment": "source.yaml", "row": "small"}}}
    write(tmp_path, rows)
    content = yaml.safe_load((tmp_path / "source.yaml").read_text())
    content["rows"]["small"] = {"method": "darts", "select": {"on": "params", "smallest": True}}
    (tmp_path / "source.yaml").write_text(yaml.safe_dump(content))
    directory = search()
    path = directory.path / "result.json"
    result = json.loads(path.read_text())
    result["family"] = ["a", "b"]
    path.write_text(json.dumps(result))
    training = planned(tmp_path)[1]
    assert training.config["architecture"] == {
        "run": directory.read_info().signature,
        "select": {"on": "params", "at_most": None, "smallest": True},
        "found": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("transfer", "more", "message"),
    [
        ({"experiment": "sorce", "row": "darts"}, {}, "unknown experiment 'sorce'"),
        ({"experiment": "nowhere.yaml", "row": "darts"}, {}, "nowhere.yaml"),
        ({"experiment": "source.yaml", "row": "dart"}, {}, "has no row 'dart'; did you mean 'darts'"),
        ({"experiment": "source.yaml", "row": "DARTS_V2"}, {}, "does not search; name a row that does"),
        ({"experiment": "source.yaml", "row": "darts", "profile": "papr"}, {}, "has no profile 'papr'"),
        ({"experiment": "cifar10", "row": "darts"}, {}, "has no profile 'tiny'; name the one to start from"),
        ({"experiment": "source.yaml", "row": "darts"}, {"select": {"on": "params"}}, "leave select out"),
        ({"experiment": "source.yaml", "row": "darts"}, {"method": "darts"}, "give exactly one of"),
        ({"experiment": "source.yaml", "row": "darts"}, {"options": {"epochs": 3}}, "has no options"),
    ],
)
def test_a_transfer_that_cannot_be_is_named(
    tmp_path: Path, transfer: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, {"mine": {"transfer": transfer, **more}}))


# --- counted networks -------------------------------------------------------------------------------------------------


def test_a_counted_network_stands_in_the_table_with_its_counts(tmp_path: Path) -> None:
    rows = {"DARTS_V2": {"published": "DARTS_V2"}, "PDARTS": {"published": "PDARTS"}}
    write(tmp_path, rows, counted=["PDARTS"])
    for info in planned(tmp_path):
        directory = RunDirectory(tmp_path / "runs" / "target-tiny" / info.name)
        directory.create(info)
        assert execute(directory.path, "cpu") == DONE
    records = [read_record(path) for path in run_paths(tmp_path / "runs" / "target-tiny")]
    assert [record.info.phase for record in records] == ["count", "train"]
    (table,), problems = analyse(records)
    assert not problems
    trained, counted = table.entries
    assert (counted.row.name, counted.summary.value, counted.rank) == ("PDARTS", None, None)
    assert "counted, not trained" in counted.row.notes
    assert trained.summary.params is not None
    assert counted.summary.params is not None
    assert counted.summary.params > trained.summary.params


@pytest.mark.parametrize(
    ("rows", "counted", "message"),
    [
        ({}, "DARTS_V3", "unknown row 'DARTS_V3'"),
        ({"darts": {"method": "darts"}}, "darts", "no architecture before its search"),
        ({"half": {"method": "l1_filter_pruning", "of": "DARTS_V2"}}, "DARTS_V2", "another row is made from DARTS_V2"),
    ],
)
def test_what_cannot_be_counted_alone(tmp_path: Path, rows: dict[str, Any], counted: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, {"DARTS_V2": {"published": "DARTS_V2"}, **rows}, counted=[counted]))


# --- profiles like others ---------------------------------------------------------------------------------------------


def test_a_profile_like_another_differs_in_what_it_says() -> None:
    own = {"like": "cifar10", "options": {"darts": {"epochs": 7}}, "retrain_seeds": [5]}
    profile = with_shared({"profiles": {"quick": own}}, experiment_path, "mine")["profiles"]["quick"]
    there = yaml.safe_load(experiment_path("cifar10").read_text())["profiles"]["quick"]
    assert "description" not in profile
    assert profile["options"] == {**there["options"], "darts": {**there["options"]["darts"], "epochs": 7}}
    assert (profile["retrain_seeds"], profile["search_seeds"]) == ([5], there["search_seeds"])


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"quick": {"like": "cifar11"}}, "mine.profiles.quick.like: unknown experiment 'cifar11'"),
        ({"quick": {"like": "cifar100"}}, "is itself like another"),
        ({"huge": {"like": "cifar10"}}, "cifar10 has no profile 'huge'"),
        ({"quick": {"like": "other.yaml"}}, "is not the name of a shipped experiment"),
    ],
)
def test_a_profile_that_cannot_be_like_another(profile: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_shared({"profiles": profile}, experiment_path, "mine")
