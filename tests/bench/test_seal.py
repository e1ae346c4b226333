"""A method that tries to see what was measured on test images, in a real search run, gets one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.data.datasets import load
from bench.data.splits import FinalEvaluation
from bench.data.tables import get_table
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run.one_run import DONE, FAILED, execute
from methods import registry
from methods.architecture import Architecture
from methods.base import Batch
from methods.gradient.darts import DARTS
from methods.sampling.random_sampling import RandomSampling
from tests.bench.conftest import TINY

PEEKS: dict[str, Callable[[], object]] = {
    "test values at 200 epochs": lambda: get_table("nasbench201").final("cifar10", 200),
    "the best by test": lambda: get_table("nasbench201").best("cifar10", 200),
    "a rank among all": lambda: get_table("nasbench_macro").rank(0, "cifar10", 50),
    "test images": lambda: FinalEvaluation(load("digits"), "train").open_test(),
}
HONEST: Callable[[], object] = lambda: get_table("nasbench201").validation("cifar10", 12)  # noqa: E731


def search_that(
    peek: Callable[[], object], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunDirectory, int]:
    """One search run of a method, sampling or gradient, that asks a question in the middle of its search; done."""

    class Sampler(RandomSampling):
        def ask(self) -> Architecture:
            peek()
            return super().ask()

    class Bilevel(DARTS):
        def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Any]:
            peek()
            return super().step(train_batch, valid_batch)

    registry.all_methods()
    monkeypatch.setitem(registry._methods, "peeking", {"sampling": Sampler, "gradient": Bilevel}[kind])
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"peeking": {"method": "peeking"}}
    options = {"epochs": 1, "channels": 2, "cells": 3, "batch_size": 48} if kind == "gradient" else {}
    content["profiles"]["tiny"]["options"] = {"peeking": options}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    info = next(info for info in plan(load_experiment(str(path)), "tiny", None, [0]) if info.phase == "search")
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    return directory, execute(directory.path, "cpu")


@pytest.mark.parametrize(("what", "kind"), [*((what, "sampling") for what in PEEKS), ("the best by test", "gradient")])
def test_a_search_cannot_see_it(what: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, code = search_that(PEEKS[what], kind, tmp_path, monkeypatch)
    error = directory.read_info().error or ""
    assert code == FAILED
    assert error.startswith("SealedTestSetError")
    assert "during the search of a method" in error
    assert directory.read_result() is None
    PEEKS[what]()  # and afterwards it is open


@pytest.mark.parametrize("kind", ["sampling", "gradient"])
def test_validation_values_are_no_secret(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert search_that(HONEST, kind, tmp_path, monkeypatch)[1] == DONE
