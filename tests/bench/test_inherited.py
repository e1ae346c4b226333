"""Networks on one set of weights, evaluated as they are: the runs, what they hold, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.config import ConfigError
from bench.device.engine import make_engine
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import Record, RunDirectory, read_record
from bench.records.inputs import found_family
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.phases.context import RunContext
from bench.run.phases.inherit import search_train, trained
from bench.run.shared_weights import inherited_network
from bench.run.stop import StopFlag
from methods.architecture import Architecture
from methods.parts.counts import count_macs
from methods.spaces import NetworkSettings, build, get_space
from tests.bench.conftest import TINY
from tests.bench.test_resume import StopAfter, outcome

SMALL = {"space": "chain_xs_widths", "epochs": 1, "batch_size": 24, "recalibration_batches": 2}
ROWS: dict[str, Any] = {
    "mutualnet": {"method": "mutualnet", "weights": "inherited"},
    "half": {"method": "mutualnet", "select": {"on": "macs", "share": 0.5}},
    "least": {"method": "mutualnet", "weights": "inherited", "select": {"on": "macs", "smallest": True}},
}


def experiment(tmp_path: Path, rows: dict[str, Any] = ROWS, **profile: Any) -> Path:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = rows
    content["profiles"]["tiny"] |= profile
    content["profiles"]["tiny"]["options"] = {"mutualnet": SMALL}
    content["profiles"]["tiny"]["recipe_changes"]["epochs"] = 1
    path = tmp_path / "widths.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def planned(tmp_path: Path, folder: str = "runs") -> list[RunDirectory]:
    made = []
    for info in plan(load_experiment(str(experiment(tmp_path))), "tiny", None, [0]):
        directory = RunDirectory(tmp_path / folder / "widths-tiny" / info.name)
        directory.create(info)
        made.append(directory)
    return made


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The search, its family as it is, the half retrained, the smallest as it is."""
    torch.set_num_threads(1)
    directories = planned(tmp_path_factory.mktemp("done"))
    for directory in directories:
        assert execute(directory.path, "cpu") == DONE
    return [read_record(directory.path) for directory in directories]


def test_one_search_is_shared_by_all_rows(done: list[Record]) -> None:
    assert [record.info.phase for record in done] == ["search", "inherit", "train", "inherit"]
    assert done[0].info.rows == ["mutualnet", "half", "least"]
    assert all(record.info.needs == [done[0].info.signature] for record in done[1:])


def test_the_search_keeps_its_query_table(done: list[Record]) -> None:
    """Rising in cost and accuracy, of the family's architectures; `dasbench show` finds it in the architecture."""
    result = done[0].result or {}
    table = result["query_table"]
    assert [line["macs"] for line in table] == sorted({line["macs"] for line in table})
    assert [line["valid_accuracy"] for line in table] == sorted({line["valid_accuracy"] for line in table})
    family = found_family(done[0])
    assert [line["architecture"] for line in reversed(table)] == [each.digest for each in family]
    for line, each in zip(reversed(table), family, strict=True):
        assert line["macs"] == count_macs(build(each, 10, NetworkSettings(in_channels=1)), (1, 8, 8))
        assert line["chosen"]["resolution"] == each.genotype["resolution"]
    shown = Architecture.load(done[0].path).provenance["query_table"]
    assert [line["macs"] for line in shown] == [line["macs"] for line in table]
    assert result["architecture"] == family[0].digest
    assert result["metrics"]["valid_accuracy"] == table[-1]["valid_accuracy"]
    assert result["costs"]["scored"] > len(table)


def test_inherited_lines_are_the_family_or_what_is_selected(done: list[Record]) -> None:
    _, whole, half, least = (record.result or {} for record in done)
    family = [each.digest for each in found_family(done[0])]
    assert [line["architecture"] for line in whole["members"]] == family
    assert whole["architecture"] == family[0]
    assert least["members"] == [{**whole["members"][-1], **timed(least["members"][0])}]
    for line in whole["members"]:
        assert line["test_error"] == 100.0 - line["test_accuracy"]
    assert whole["metrics"]["test_error"] == whole["members"][0]["test_error"]
    assert whole["costs"]["search_device_s"] == (done[0].result or {})["costs"]["device_s"]
    space = get_space("chain_xs_widths")
    widest = space.decode(tuple(len(each.options) - 1 for each in space.decisions()))
    largest = count_macs(build(widest, 10, NetworkSettings(in_channels=1)), (1, 8, 8))
    assert (done[0].result or {})["largest"]["macs"] == largest, "whether or not it is worth taking"
    fitting = [line for line in whole["members"] if line["macs"] <= 0.5 * largest]
    assert half["architecture"] == fitting[0]["architecture"]
    assert half["costs"]["macs"] == fitting[0]["macs"]


def timed(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name.startswith("latency")}


def test_the_network_is_the_one_that_the_search_scored(done: list[Record]) -> None:
    """Statistics of the same images: evaluated on the validation part again, it has the accuracy of the table."""
    search, run = done[0], done[1]
    engine = make_engine(torch.device("cpu"), "fp32", True, 1)
    task = RunContext(RunDirectory(run.path), run.info, engine, StopFlag())
    method = trained(task, search)
    train = search_train(task, search, method)
    smallest = found_family(search)[-1]
    network, images = inherited_network(task, method, smallest, train)
    assert images == min(len(train), 48)
    state, weights = network.state_dict(), method.weights_of(smallest)
    own = {name for name in state if "running" in name or "num_batches" in name}
    assert own
    assert all(torch.equal(state[name], weights[name]) for name in state if name not in own)
    assert not any(torch.equal(state[name], weights[name]) for name in own if name.endswith("running_var"))
    large, _ = inherited_network(task, method, found_family(search)[0], train)
    theirs = large.state_dict()
    narrow = next(name for name in own if name.endswith("running_mean"))
    assert not torch.equal(theirs[narrow][: len(state[narrow])], state[narrow]), "statistics differ by width"


def test_stopped_again_and_again_it_ends_with_the_same_bits(tmp_path: Path, done: list[Record]) -> None:
    """In the training, and between two scores; what is known by then is not done again."""
    search = planned(tmp_path, "cut")[0]
    stopped: list[str] = []
    looks = chain([2, 2], repeat(7))
    while execute(search.path, "cpu", StopAfter(next(looks))) == INTERRUPTED:
        stopped.append("scores" if (search.path / "scores").exists() else "training")
    assert stopped.count("training") >= 2
    assert stopped.count("scores") >= 2
    assert outcome(search) == outcome(RunDirectory(done[0].path))
    cut, whole = (json.loads((path / "result.json").read_text()) for path in (search.path, done[0].path))
    assert cut["query_table"] == whole["query_table"]
    assert cut["costs"]["scored"] == whole["costs"]["scored"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"row": {"method": "darts", "weights": "inherited"}}, "darts gives none"),
        ({"row": {"published": "DARTS_V2", "weights": "inherited"}}, "a given architecture gives none"),
        ({"row": {"method": "mutualnet", "weights": "inherited", "recipe": "darts-cifar"}}, "leave 'recipe' out"),
        (ROWS | {"pruned": {"method": "l1_filters", "of": "mutualnet"}}, "row 'mutualnet' has inherited weights"),
        ({"row": {"method": "mutualnet", "weights": "kept"}}, "weights"),
        ({"row": {"method": "mutualnet", "select": {"share": 0.5, "at_most": 9.0}}}, "share"),
    ],
)  # fmt: skip
def test_what_has_no_weights_to_inherit_is_refused(rows: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        load_experiment(str(experiment(tmp_path, rows)))


def test_a_row_that_is_retrained_has_the_signature_it_had(planned_before: Callable[[dict[str, Any]], str]) -> None:
    """Neither `weights` nor `share` is part of what was there before them."""
    row = {"method": "mutualnet", "select": {"on": "macs", "at_most": 1e6}}
    assert planned_before(row) == planned_before(row | {"weights": "retrained"})


@pytest.fixture
def planned_before(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    def signature(row: dict[str, Any]) -> str:
        infos = plan(load_experiment(str(experiment(tmp_path, {"row": row}))), "tiny", None, [0])
        assert "share" not in infos[-1].config["architecture"]["select"]
        return infos[-1].signature

    return signature
