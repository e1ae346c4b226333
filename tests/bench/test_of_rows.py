"""Searches that start from another row: what runs there are, what they start from, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.estimate import stand_ins
from bench.run.one_run import DONE, FAILED, execute
from methods import registry
from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, SamplingSearch, SearchContext, SearchSplit
from methods.parts.bilevel import loss_and_sums
from methods.spaces import build
from tests.bench.conftest import TINY


@dataclass(frozen=True)
class NoOptions:
    """Nothing to choose."""


class GoesOn(GradientSearch):
    """Trains the network that it is given for an epoch, and gives it back."""

    Options = NoOptions
    starts_from = "network"
    gives_weights = True
    epochs, batch_size, split = 1, 32, SearchSplit(1.0, 0.0, paired=False)

    def __init__(self, options: NoOptions, context: SearchContext) -> None:
        assert context.start is not None
        assert context.start.weights is not None
        self.found = context.start.architecture
        self.supernet = build(self.found, context.num_classes, context.start.settings)
        self.supernet.load_state_dict(context.start.weights)
        self.optimiser = torch.optim.SGD(self.supernet.parameters(), 1e-3)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, torch.Tensor]:
        self.optimiser.zero_grad()
        loss, sums = loss_and_sums(self.supernet, train_batch)
        loss.backward()
        self.optimiser.step()
        return sums

    def architecture(self) -> Architecture:
        return self.found

    def inherited(self) -> Mapping[str, torch.Tensor]:
        return self.supernet.state_dict()

    def ending(self) -> dict[str, Any]:
        return {"from": self.found.digest}

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.supernet.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.supernet.load_state_dict(state["network"])


class Keeps(SamplingSearch):
    """Proposes what it starts from."""

    Options = NoOptions
    starts_from = "architecture"
    samples = 1

    def __init__(self, options: NoOptions, context: SearchContext) -> None:
        assert context.start is not None
        assert context.start.weights is None
        self.found = context.start.architecture

    def ask(self) -> Architecture:
        return self.found

    architecture = ask


ROWS: dict[str, Any] = {
    "darts": {"method": "darts"},
    "longer": {"method": "goes_on", "of": "DARTS_V2"},
    "longest": {"method": "goes_on", "of": "longer", "inheritance": ["finetune"]},
    "same": {"method": "keeps", "of": "darts"},
    "pruned": {"method": "l1_filter_pruning", "of": "longer"},
    "DARTS_V2": {"published": "DARTS_V2"},
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cls in {"goes_on": GoesOn, "keeps": Keeps}.items():
        monkeypatch.setattr(cls, "name", name)
        monkeypatch.setitem(registry._methods, name, cls)


def planned(folder: Path, *rows: str, changed: Mapping[str, Any] | None = None) -> list[RunInfo]:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = ROWS | dict(changed or {})
    content["profiles"]["tiny"] |= {"search_seeds": [0], "retrain_seeds": [0, 1]}
    path = folder / "of.yaml"
    path.write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(path)), "tiny", rows or None)


def names(runs: list[RunInfo]) -> list[str]:
    return [info.name.rpartition("-")[0] for info in runs]


def test_a_search_from_a_trained_network_rests_on_its_training(tmp_path: Path) -> None:
    """One for each retrain seed; both lines of what it finds; the lines of a row that asks for one."""
    runs = planned(tmp_path, "longer")
    expected = ["train-DARTS_V2-r{}", "search-longer-s0-r{}", "train-longer-s0-r{}", "train-longer-finetune-s0-r{}"]
    assert names(runs) == [name.format(seed) for seed in (0, 1) for name in expected]
    source, search, scratch, tuned = runs[:4]
    assert (search.needs, scratch.needs, tuned.needs) == ([source.signature], *[[search.signature]] * 2)
    assert search.config["start"] == {"run": source.signature, "select": None, "weights": True}
    assert (scratch.config["inheritance"], tuned.config["inheritance"]) == ("scratch", "finetune")
    twice = planned(tmp_path, "longest")
    assert len(twice) == 10
    assert [info.inheritance for info in twice if info.label == "longest"][1::2] == ["finetune"] * 2


def test_a_search_from_an_architecture_rests_on_its_search_alone(tmp_path: Path) -> None:
    runs = planned(tmp_path, "same")
    assert names(runs) == ["search-darts-s0", "search-same-s0", "train-same-s0-r0", "train-same-s0-r1"]
    assert runs[1].config["start"] == {"run": runs[0].signature, "select": None}
    assert runs[1].retrain_seed is None


def test_a_transform_of_what_a_started_search_found(tmp_path: Path) -> None:
    runs = planned(tmp_path, "pruned")
    assert names(runs)[1:4] == ["search-longer-s0-r0", "train-longer-s0-r0", "transform-pruned-s0-r0"]


def test_what_they_start_from_decides_who_they_are(tmp_path: Path) -> None:
    other = {"longer": ROWS["longer"] | {"of": "PC_DARTS_cifar"}, "PC_DARTS_cifar": {"published": "PC_DARTS_cifar"}}
    one, changed = planned(tmp_path, "longer"), planned(tmp_path, "longer", changed=other)
    assert {info.signature for info in one}.isdisjoint(info.signature for info in changed)


def test_before_there_is_a_start_its_network_is_stood_in_for(tmp_path: Path) -> None:
    runs = planned(tmp_path, "longest", "same")
    networks = stand_ins(runs)
    started = [info for info in runs if "start" in info.config]
    assert {info.label for info in started} == {"longer", "longest", "same"}
    assert all(info.signature in networks for info in started)
    assert len({networks[info.signature].digest for info in runs if info.label.startswith("long")}) == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"method": "goes_on"}, "starts from another row's trained network; name that row with 'of'"),
        ({"method": "keeps"}, "starts from another row's architecture; name that row with 'of'"),
        ({"method": "darts", "of": "DARTS_V2"}, "darts searches from nothing"),
        ({"method": "goes_on", "of": "DARTS_V3"}, "unknown row 'DARTS_V3'.*DARTS_V2"),
        ({"method": "goes_on", "of": "new"}, "would start from itself"),
        ({"method": "goes_on", "of": "pruned"}, "row 'pruned' is itself a transform"),
        ({"method": "random_sampling", "match": {"row": "longer", "on": "params"}}, "an answer for each retraining"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        planned(tmp_path, changed={"new": row})


def test_two_rows_that_start_from_each_other_are_refused(tmp_path: Path) -> None:
    two = {"one": {"method": "goes_on", "of": "two"}, "two": {"method": "goes_on", "of": "one"}}
    with pytest.raises(ConfigError, match=r"rows\.one: it would start from itself, by way of row 'two'"):
        planned(tmp_path, changed=two)


def test_a_search_goes_on_from_the_weights_that_a_training_left(tmp_path: Path) -> None:
    """And its own are fine-tuned; its cost has that of the training; without it, one clear error."""
    runs = [info for info in planned(tmp_path, "longer") if info.retrain_seed == 0]
    source, search, _, tuned = made = [RunDirectory(tmp_path / "runs" / info.name) for info in runs]
    for directory, info in zip(made, runs, strict=True):
        directory.create(info)
    assert execute(search.path, "cpu") == FAILED
    assert "which is not done" in (search.path / "error.log").read_text()
    assert [execute(each.path, "cpu") for each in (source, search, tuned)] == [DONE] * 3
    before, after = (load_file(each.path / "weights.safetensors") for each in (source, search))
    assert before.keys() == after.keys()
    moved = [float((after[name] - before[name]).norm() / before[name].norm()) for name in before if "weight" in name]
    assert 0 < max(moved) < 0.2, "weights drawn anew would lie further away"
    results = {each: each.read_result() or {} for each in (source, search, tuned)}
    assert results[search]["architecture"] == results[source]["architecture"]
    assert results[search]["report"]["from"] == results[source]["architecture"]
    spent = sum(results[each]["costs"]["device_s"] for each in (source, search))
    assert results[tuned]["costs"]["search_device_s"] == pytest.approx(spent)
    assert len(list(tuned.read_metrics())) == 1
