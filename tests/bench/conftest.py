"""A tiny experiment, its planned runs, and how to do one of them in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.experiment import load_experiment, plan
from bench.records import RunDirectory, RunInfo

TINY = Path(__file__).parent.parent / "experiments" / "tiny.yaml"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_runs(tmp_path: Path) -> Callable[..., list[RunDirectory]]:
    """Run directories of the tiny experiment's plan for some rows, made below a named folder."""

    def make(*rows: str, folder: str = "runs") -> list[RunDirectory]:
        made = []
        for info in plan(load_experiment(str(TINY)), "tiny", rows or None, [0]):
            directory = RunDirectory(tmp_path / folder / "tiny-tiny" / info.name)
            directory.create(info)
            made.append(directory)
        return made

    return make


@pytest.fixture
def planned() -> list[RunInfo]:
    return plan(load_experiment(str(TINY)), "tiny")
