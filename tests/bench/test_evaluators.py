"""What scores proposals: shared weights against a by-hand calculation, continued searches, repeated proposals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from bench.data.datasets import load
from bench.data.splits import search_data
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.checkpoint import load_newest_checkpoint
from bench.records.directory import RunDirectory, read_record
from bench.run.evaluators.base import Prepared, Proposal, Scored
from bench.run.evaluators.supernet import SupernetEvaluator
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.search import SamplingState, sampling_search
from bench.run.stop import StopFlag
from bench.seeds import derive
from methods.architecture import Architecture
from methods.base import SamplingSearch, SearchSplit
from methods.spaces import get_space
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import PATHS, RELAXATIONS, path_supernet
from tests.bench.conftest import TINY

SIZE = {"channels": 4, "cells": 3, "cells_per_stage": 1}


def size_of(space: str) -> dict[str, int]:
    """Small, where a supernet's size can be chosen."""
    return SIZE if RELAXATIONS[space].size else {}


def shared_weights(folder: Path, space: str = "nasbench201") -> RunDirectory:
    """A search by shared weights on the digits, not done yet."""
    content = yaml.safe_load(TINY.read_text())
    options = {"space": space, "samples": 5}
    content["rows"] = {"shared": {"method": "random_sampling", "evaluator": "supernet", "options": options}}
    evaluation = {**size_of(space), "epochs": 2, "batch_size": 12, "recalibration_batches": 2}
    content["profiles"]["tiny"] |= {"evaluation": {"supernet": evaluation}, "options": {}}
    folder.mkdir()
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    planned = plan(load_experiment(str(folder / "mine.yaml")), "tiny", None, [0])
    info = next(info for info in planned if info.phase == "search")
    assert "recipe" not in info.config, "no recipe decides anything here"
    directory = RunDirectory(folder / info.name)
    directory.create(info)
    return directory


def proposals(directory: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory.path / "proposals.jsonl").read_text().splitlines()]


class StopAfter(StopFlag):
    """Asks to stop when it was looked at so often."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def reason(self) -> str | None:  # type: ignore[override]
        self.looks -= 1
        return "SIGTERM" if self.looks < 0 else None


@pytest.mark.parametrize("space", [space for space in PATHS if "cifar" in RELAXATIONS[space].stems])
def test_a_score_is_that_of_the_shared_weights_with_statistics_taken_anew(tmp_path: Path, space: str) -> None:
    """By hand: the trained weights, plain averages of the statistics of two batches, right answers of search-valid."""
    directory = shared_weights(tmp_path / "one", space)
    assert execute(directory.path, "cpu") == DONE
    info = read_record(directory.path).info
    seed = derive(dataset="digits", use="search", repetition=0)
    data = search_data(load("digits"), SearchSplit(), seed, info.config["data"]["train_images"])
    supernet = path_supernet(space, 10, SupernetSettings(**size_of(space), in_channels=1))
    checkpoint = load_newest_checkpoint(directory.checkpoints, info.signature)
    assert checkpoint is not None
    supernet.load_state_dict(checkpoint["state"]["parts"]["supernet"])
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (data.info.mean, data.info.std))

    def pictures(images: Any) -> torch.Tensor:
        return (images.float() / 255 - mean) / std

    for line in proposals(directory):
        code = get_space(space).encode(Architecture(line["space"], line["genotype"]))
        norms = [module for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's own plain average over batches
        supernet.train()
        with torch.no_grad():
            for part in [data.train.images]:
                supernet(pictures(part), code)
            supernet.eval()
            right = supernet(pictures(data.valid.images), code).argmax(1) == data.valid.labels
        assert line["score"] == pytest.approx(100 * float(right.float().mean()), abs=1e-3)
    best = max(proposals(directory), key=lambda line: line["score"])
    result = read_record(directory.path).result
    assert result is not None
    assert result["architecture"] == best["architecture"]
    assert result["epochs"] == 2


def test_shared_weights_go_on_with_the_same_bits_and_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, stopped = shared_weights(tmp_path / "alone"), shared_weights(tmp_path / "stopped")
    assert execute(alone.path, "cpu") == DONE
    assert execute(stopped.path, "cpu", StopAfter(5)) == INTERRUPTED
    real = SupernetEvaluator.score
    told: list[int] = []

    def killed(self: SupernetEvaluator, asked: Sequence[Proposal]) -> list[Scored]:
        told.append(asked[0][0])
        if len(told) == 3:
            raise KeyboardInterrupt
        return real(self, asked)

    monkeypatch.setattr(SupernetEvaluator, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        execute(stopped.path, "cpu")
    assert execute(stopped.path, "cpu") == DONE
    assert told == [0, 1, 2, 2, 3, 4], "a score that was kept is not asked for again"
    for name in ("proposals.jsonl", "architecture.json"):
        texts = [(each.path / name).read_text().replace("stopped", "alone") for each in (alone, stopped)]
        assert texts[0] == texts[1]
    first, second = read_record(alone.path).result, read_record(stopped.path).result
    assert first is not None
    assert second is not None
    assert first["metrics"] == second["metrics"]
    assert first["costs"]["images"] == second["costs"]["images"] > 0


class Repeats(SamplingSearch):
    """Proposes two networks in turn."""

    def __init__(self, options: Any, context: Any) -> None:
        self.samples, self.told, self.asked = 4, list[tuple[str, float]](), 0

    def ask(self) -> Architecture:
        self.asked += 1
        return Architecture("nasbench201", {"cell": str(self.asked % 2)})

    def tell(self, architecture: Architecture, score: float) -> None:
        self.told.append((architecture.digest, score))

    def architecture(self) -> Architecture:
        return Architecture("nasbench201", {"cell": "0"})


class Counting:
    """Scores rise with every call."""

    kept = Path()

    def __init__(self) -> None:
        self.calls: list[int] = []

    def prepare(self) -> Prepared | None:
        return None

    def restored(self, number: int, scored: Scored) -> Scored:
        return scored

    def score(self, proposals: Sequence[Proposal]) -> list[Scored]:
        self.calls += [number for number, _ in proposals]
        return [Scored(float(number), 100, 2.0, 7) for number, _ in proposals]


def test_a_network_proposed_again_is_told_its_score_and_costs_nothing() -> None:
    method, evaluator, state = Repeats(None, None), Counting(), SamplingState()
    sampling_search(method, evaluator, state)
    assert evaluator.calls == [0, 1]
    assert [score for _, score in method.told] == [0.0, 1.0, 0.0, 1.0]
    costs = state.costs(Prepared(1000, 5.0, 9, {}, 1))
    assert (costs["images"], costs["wall_s"], costs["peak_memory"]) == (1200, 9.0, 9)
    again = SamplingState()
    again.load_state_dict(state.state_dict())
    again.scored = again.scored[:2]  # continued after two
    second, other = Repeats(None, None), Counting()
    sampling_search(second, other, again)
    assert other.calls == []
    assert again.scored == state.scored
