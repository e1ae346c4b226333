"""Controlled comparisons as rows: what is drawn, what is refused, and a comparison from its file to its ranks."""

from __future__ import annotations

import json
import sys
import textwrap
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bench.config import ConfigError
from bench.plan.comparison import draw_settings
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import read_records
from bench.records.run_info import RunInfo

GRAPHS = """
dataset:
  graphs:
    - {set: small_world, label: clustering, feature: constant}
    - {set: scale_free, label: path_length, feature: one_hot}
rows:
  activation: {compare: {space: graphgym, dimension: activation, settings: 2}}
  tasks: {compare: {space: graphgym, anchors: 3}}
profiles:
  quick:
    retrain_seeds: [0, 1]
    comparison: {settings: 3, base_width: 64, epochs_divided_by: 100, graphs: {graphs: 12}}
"""
IMAGES = """
dataset: digits
rows:
  v2: {published: DARTS_V2}
  other: {published: PC_DARTS_cifar}
  searched: {method: darts}
  drop path:
    compare: {dimension: recipe.drop_path, values: [0.0, 0.2], rows: [v2, other], vary: {recipe.lr: [0.05, 0.1]}}
  cells: {compare: {dimension: network.cells, values: [3, 6], rows: [v2, other], match_params: true, settings: 2}}
profiles:
  quick:
    given_seeds: [0, 1]
    network: {channels: 40, cells: 3}
    recipe: plain-cifar
    comparison: {settings: 3}
"""


def written(tmp_path: Path, text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "asked.yaml"
    path.write_text(textwrap.dedent(text))
    return str(path)


def planned(tmp_path: Path, text: str, *changes: tuple[str, str], **more: Any) -> list[RunInfo]:
    return plan(load_experiment(written(tmp_path, text, *changes)), "quick", **more)


def test_settings_are_drawn_each_once_and_the_same_again() -> None:
    dimensions = {"a": (1, 2, 3), "b": ("x", "y")}
    drawn = [setting.chosen for setting in islice(draw_settings(dimensions, 4), 6)]
    assert len({json.dumps(each) for each in drawn}) == 6
    assert drawn == [setting.chosen for setting in islice(draw_settings(dimensions, 4), 6)]
    assert drawn != [setting.chosen for setting in islice(draw_settings(dimensions, 5), 6)]
    with pytest.raises(ConfigError, match="there are only 6 different settings"):
        list(draw_settings(dimensions, 4))


def test_in_a_setting_one_dimension_changes_and_sizes_are_equal() -> None:
    """The shipped comparison, every setting of every question."""
    runs = plan(load_experiment("graphgym"), "quick")
    assert len(runs) == 4 * 24 + 6
    for run in runs:
        said, networks = run.config["question"], run.config["networks"]
        sizes = [network["params"] for network in networks]
        assert max(sizes) <= 1.02 * min(sizes)
        if said:
            designs = [network["design"] for network in networks]
            assert [design.pop(said["dimension"]) for design in designs] == said["values"]
            assert all(design == designs[0] for design in designs)
    anchors = [[network["design"] for network in run.config["networks"]] for run in runs if run.label == "tasks"]
    assert len(anchors) == 6
    assert all(each == anchors[0] for each in anchors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("dimension: activation", "dimension: activaton"), "did you mean 'activation'"),
        (("dimension: activation", "dimension: activation, values: [relu, tanh]"), "'tanh' is no option of activation"),
        (("space: graphgym, dimension", "space: darts_cell, dimension"), "name one whose networks read graphs"),
        (("anchors: 3", "anchors: 3, dimension: lr"), "name either a dimension, or anchors"),
        (("anchors: 3", "anchors: 3, rows: [activation]"), "leave rows, vary and match_params out"),
        (("activation: {compare: {space: graphgym, dimension: activation, settings: 2}}", "a: {method: darts}"),
         "a row on graphs asks a question"),
        (("label: clustering, ", "level: node, "), "have no labels that are classes"),
        (("base_width: 64", "base_width: 4"), "raise base_width"),
    ],
)  # fmt: skip
def test_what_a_comparison_on_graphs_cannot_be_is_refused(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, GRAPHS, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("recipe.drop_path, v", "recipe.drop_pth, v"), "did you mean 'recipe.drop_path'"),
        (("values: [0.0, 0.2]", "values: [0.0, 1.2]"), "drop_path"),
        (("values: [0.0, 0.2]", "values: [0.2]"), "options are at least two"),
        (("rows: [v2, other], vary", "rows: [v2, othr], vary"), "unknown row 'othr'; did you mean 'other'"),
        (("rows: [v2, other], match", "rows: [v2, searched], match"), "is not known before its search"),
        (("rows: [v2, other], vary: {recipe.lr", "rows: [v2, other], vary: {recipe.drop_path"), "what the question"),
        (("channels: 40", "channels: 3"), "raise network.channels"),
        (("[0.05, 0.1]}", "[0.05, 0.1]}, space: graphgym"), "are of comparisons on graphs"),
        (("settings: 3", "settings: 5"), "there are only 4 different settings"),
    ],
)
def test_what_a_comparison_on_images_cannot_be_is_refused(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, IMAGES, change)


def test_trainings_on_images_are_ordinary_ones_that_name_their_setting(tmp_path: Path) -> None:
    runs = planned(tmp_path, IMAGES, rows=["drop path"])
    assert len(runs) == 3 * 2 * 2
    assert {run.phase for run in runs} == {"train"}
    assert {run.label for run in runs} == {"drop path"}
    settings: dict[str, list[RunInfo]] = {}
    for run in runs:
        said = run.config["question"]
        assert run.config["recipe"]["drop_path"] == said["value"]
        assert run.config["recipe"]["lr"] == said["setting"]["recipe.lr"]
        settings.setdefault(json.dumps(said["setting"], sort_keys=True), []).append(run)
    assert [len(each) for each in settings.values()] == [4, 4, 4]
    for each in settings.values():
        assert len({run.config["architecture"]["published"] for run in each}) == 1
        assert sorted((run.config["recipe"]["drop_path"], run.retrain_seed) for run in each) == [
            (0.0, 0), (0.0, 1), (0.2, 0), (0.2, 1),
        ]  # fmt: skip


def test_networks_of_a_setting_on_images_have_one_size(tmp_path: Path) -> None:
    from methods.genotypes import published
    from methods.spaces import NetworkSettings, get_space

    runs = planned(tmp_path, IMAGES, rows=["cells"])
    sizes: dict[str, set[int]] = {}
    for run in runs:
        name, network = run.config["architecture"]["published"], run.config["network"]
        counts = get_space("darts_cell").counts(published(name), 10, NetworkSettings(**network))
        sizes.setdefault(name, set()).add(counts.params)
    assert all(len(each) == 2 and max(each) <= 1.02 * min(each) for each in sizes.values())


def test_without_pytorch_geometric_one_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It needs no package to be planned, and is refused before anything starts."""
    from bench.run import check
    from methods.architecture import ArchitectureError
    from methods.spaces import NetworkSettings, build, get_space

    runs = planned(tmp_path, GRAPHS)
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rows activation, tasks: .* pip install 'dasbench\[graphs\]'"):
        check.check_packages(runs)
    check.check_packages(planned(tmp_path, IMAGES))
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(ArchitectureError, match=r"pip install 'dasbench\[graphs\]'"):
        build(get_space("graphgym").reference(), 5, NetworkSettings(in_channels=3))


def test_a_comparison_goes_from_its_file_to_ranks_and_on_after_a_stop(tmp_path: Path) -> None:
    """Stopped between two trainings, it goes on to the same accuracies."""
    pytest.importorskip("torch_geometric", reason="needs the extra 'graphs'")
    from bench.records.directory import RunDirectory
    from bench.run.one_run import DONE, INTERRUPTED, execute
    from bench.run.stop import StopFlag
    from reports.build import build

    runs = planned(tmp_path, GRAPHS)
    assert len(runs) == 2 + 2
    folder = tmp_path / "runs" / "asked-quick"
    for run in runs:
        RunDirectory(folder / run.name).create(run)
        assert execute(folder / run.name, "cpu") == DONE
    records, problems = read_records(folder)
    assert problems == []
    other, stop = tmp_path / "others" / "asked-quick" / runs[0].name, StopFlag()
    RunDirectory(other).create(runs[0])
    stop.reason = "a test"
    assert execute(other, "cpu", stop) == INTERRUPTED
    assert execute(other, "cpu", StopFlag()) == DONE
    first = next(record for record in records if record.info.signature == runs[0].signature)
    assert json.loads((other / "result.json").read_text())["metrics"] == (first.result or {})["metrics"]
    assert "trainings.jsonl" in (first.result or {})["files"]
    found = build([folder], tmp_path / "report", ["csv", "svg", "html"])
    assert found.problems == []
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Controlled comparisons: asked on graphs, profile quick" in page
    assert "How alike the tasks are" in page
    lines = (tmp_path / "report" / "tables" / "comparisons-asked-graphs-quick.csv").read_text().splitlines()
    assert len(lines) == 1 + 3
    assert {path.name for path in (tmp_path / "report" / "plots").iterdir()} == {
        "comparisons-asked-graphs-quick-ranks.svg",
        "comparisons-asked-graphs-quick-similarity-tasks.svg",
    }
