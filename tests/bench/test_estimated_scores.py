"""What an estimate knows of scores that are still to be had: of networks on shared weights, and of short trainings."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.datasets import load
from bench.device.engine import Engine, make_engine
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunInfo
from bench.run import estimate, imagined_scores, timed_runs
from bench.run.evaluators import supernet as supernet_evaluator
from bench.run.imagined_scores import Evaluation, seconds_of_choosing, seconds_of_inheriting
from bench.run.published_images import test_images as images_to_test
from bench.run.timed_runs import Images, Unmade, seconds_of
from bench.run.timings import key_of, sources_of
from methods.architecture import Architecture
from methods.base import SearchContext
from methods.gradient.autoslim import AutoSlim, AutoSlimOptions
from methods.gradient.mutualnet import MutualNet, MutualNetOptions
from methods.gradient.us_net import USNet, USNetOptions
from methods.registry import all_methods
from methods.spaces.decisions import sample_code
from tests.bench.test_inherited import experiment
from tests.contracts.tiny import context_of, relaxed_spaces, tiny

XS = "chain_xs_widths"
CONTEXT = SearchContext(10, 1, 32, seed=1)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(torch.device("cpu"), "fp32", deterministic=True, threads=1)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """Every network takes a second; which were timed."""
    found: list[Architecture] = []

    def second(self: Evaluation, architecture: Architecture) -> float:
        found.append(architecture)
        return 1.0

    monkeypatch.setattr(Evaluation, "seconds", second)
    return found


def test_every_score_counts(timed: list[Architecture], engine: Engine) -> None:
    """All of a grid, and of a way down to a budget about as many as it takes; a few of them are timed."""
    us_net, mutualnet = USNet(USNetOptions(XS), CONTEXT), MutualNet(MutualNetOptions(XS), CONTEXT)
    assert seconds_of_choosing(us_net, engine, 90, 10) == len(us_net.sandwich.grid()) == 7
    assert seconds_of_choosing(mutualnet, engine, 90, 10) == len(mutualnet.sandwich.grid()) == 21
    timed.clear()
    near, far = (AutoSlim(AutoSlimOptions(XS, budgets=(share,)), CONTEXT) for share in (0.7, 0.4))
    assert 40 < seconds_of_choosing(near, engine, 90, 10) < seconds_of_choosing(far, engine, 90, 10) < 300
    assert len(timed) == 8
    assert len({each.digest for each in timed[1:4]}) == 3


def test_a_family_is_all_that_may_be_worth_taking(timed: list[Architecture], engine: Engine) -> None:
    mutualnet = MutualNet(MutualNetOptions(XS), CONTEXT)
    assert seconds_of_inheriting(mutualnet, engine, 90, 100, alone=False) == 21
    assert seconds_of_inheriting(mutualnet, engine, 90, 100, alone=True) == 1
    slim = AutoSlim(AutoSlimOptions(XS, budgets=(0.9, 0.6)), CONTEXT)
    assert seconds_of_inheriting(slim, engine, 90, 100, alone=False) == 2


def test_a_network_takes_its_statistics_and_its_evaluation(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built in 1 s, 10 s for 8 images of statistics, 100 s for 16 of evaluation, then 1000 s of counting."""
    clock = accumulate([0.0, 1.0, 10.0, 100.0, 1000.0])
    monkeypatch.setattr(imagined_scores.time, "perf_counter", lambda: next(clock))
    method = USNet(USNetOptions(XS, batch_size=8, recalibration_batches=5), CONTEXT)
    seen: list[Any] = []
    evaluation = Evaluation(method, engine, train=20, evaluated=300, then=seen.append)
    assert evaluation.seconds(method.architecture()) == 1 + 3 * 10 + 19 * 100 + 1000
    assert not seen[0].training


def searches_and_inherits(tmp_path: Path, **options: Any) -> list[RunInfo]:
    path = experiment(tmp_path)
    path.write_text(
        path.read_text().replace("recalibration_batches: 2", f"recalibration_batches: {options['batches']}")
    )
    return plan(load_experiment(str(path)), "tiny", None, [0, 1])


def test_runs_on_shared_weights_are_timed_by_their_search(
    tmp_path: Path, timed: list[Architecture], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_runs, "seconds_per_step", lambda *arguments: 0.0)
    runs = searches_and_inherits(tmp_path, batches=2)
    sources, images = sources_of(runs), Images(load("digits").info, 1000)
    found = [
        seconds_of(Unmade(run, None, sources.get(run.signature)), images, engine)
        for run in runs
        if run.phase in ("search", "inherit") and run.search_seed == 0
    ]
    assert found == [21.0, 14.0, 1.0], "a search; its family, of whose resolutions two cost the same here; one of it"
    other = searches_and_inherits(tmp_path, batches=3)

    def keys(runs: list[RunInfo]) -> dict[tuple[str, str], set[str]]:
        by: dict[tuple[str, str], set[str]] = {}
        for run in runs:
            key = key_of(run, None, sources_of(runs).get(run.signature), ())
            by.setdefault((run.phase, run.label), set()).add(key)
        return by

    assert all(len(each) == 1 for (phase, _), each in keys(runs).items() if phase == "inherit"), "seeds are not timed"
    assert all(keys(runs)[name] != keys(other)[name] for name in keys(runs) if name[0] != "train")


def test_what_is_done_still_says_what_the_rest_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a search that is done, the networks are of its space, and its inherited weights are not a second's work."""
    asked: list[Unmade] = []

    def noted(runs: list[Unmade], *more: Any) -> list[tuple[float, None, float]]:
        asked.extend(runs)
        return [(1.0, None, 1.0)] * len(runs)

    class AtOnce:
        def __init__(self, *arguments: Any) -> None: ...

        def __enter__(self) -> AtOnce:
            return self

        def __exit__(self, *arguments: Any) -> None: ...

        def submit(self, work: Any, *arguments: Any) -> Any:
            return type("Done", (), {"result": lambda self: work(*arguments)})()

    monkeypatch.setattr(estimate, "_time_runs", noted)
    monkeypatch.setattr(estimate, "ProcessPoolExecutor", AtOnce)
    runs = searches_and_inherits(tmp_path, batches=2)
    todo = [run for run in runs if run.phase != "search" and run.search_seed == 0]
    estimate.estimate_seconds(todo, load("digits"), torch.device("cpu"), tmp_path, remember=False, done=runs)
    assert {each.info.phase for each in asked} == {"train", "inherit"}
    for each in asked:
        if each.info.phase == "train":
            assert each.network is not None
            assert each.network.space == XS
        else:
            assert each.source is not None
            assert each.source.signature == each.info.needs[0]


def test_short_trainings_are_as_many_as_proposals(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_runs, "seconds_per_step", lambda *arguments: 1.0)
    images = Images(load("digits").info, 1000)
    drawn = {"method": "random_sampling"}
    path = experiment(tmp_path, {"searched": {**drawn, "options": {"samples": 3}}, "drawn": drawn})
    searches = [run for run in plan(load_experiment(str(path)), "tiny", None, [0]) if run.phase == "search"]
    found = {run.label: seconds_of(Unmade(run, None, None), images, engine) for run in searches}
    run = searches[0]
    train, size = run.config["data"]["train_images"] / 2, run.config["recipe"]["batch_size"]
    assert found == {"searched": 3.0 * run.config["recipe"]["epochs"] * round(train / size), "drawn": 0.0}


def test_one_shot_weights_take_their_training_and_every_score(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that counts paths: 3 epochs of 50 steps, 4 scores of 1 batch of statistics and 4 of validation."""
    now = 0

    def path(*arguments: Any) -> Any:
        nonlocal now
        now += 1
        return sample_code(*arguments)

    monkeypatch.setattr(supernet_evaluator, "sample_code", path)
    monkeypatch.setattr(supernet_evaluator.time, "perf_counter", lambda: float(now))
    row = {"method": "random_sampling", "evaluator": "supernet"}
    evaluation = {"epochs": 3, "batch_size": 10, "channels": 4, "cells": 3, "recalibration_batches": 1}
    path_to = experiment(tmp_path, {"row": {**row, "evaluation": evaluation, "options": {"samples": 4}}})
    (run,) = (run for run in plan(load_experiment(str(path_to)), "tiny", None, [0]) if run.phase == "search")
    run.config["data"]["train_images"] = 1000
    found = seconds_of(Unmade(run, None, None), Images(load("digits").info, 1000), engine)
    assert found == 3 * 50 + 4 * (1 + 4)


def test_images_of_a_final_evaluation_are_known_without_opening_them(tmp_path: Path) -> None:
    run = searches_and_inherits(tmp_path, batches=2)[0]
    run.config["data"] = {"test_images": 7}
    assert images_to_test(run, 1000) == 7
    run.config["data"] = {"test_images": None}
    assert images_to_test(run, 1000) == 1000
    run.dataset = "cifar10"
    assert images_to_test(run, 1000) == 10_000
    run.config["data"]["most_test_images"] = 500
    assert images_to_test(run, 1000) == 500


@pytest.mark.parametrize("name", ["fbnetv2", "pc_darts", "dna"])
def test_a_step_of_an_estimate_has_the_architectures_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which begins after some epochs."""
    cls, space = all_methods()[name], relaxed_spaces(name)[0]
    method: Any = cls(cls.Options(**tiny(name, space) | {"arch_start_epoch": 1}), context_of(name, space, 1))  # type: ignore[call-arg]
    method.to(torch.device("cpu"))
    batch = torch.randn(4, 1, 8, 8), torch.randint(10, (4,))
    assert "valid_count" not in method.step(batch, batch)
    method.enter_longest_step()
    assert "valid_count" in method.step(batch, batch)
