"""Estimates of time are a courtesy: where none can be made, the runs go on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from bench.data.datasets import load
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.run import estimate
from bench.run.estimate import EstimateError, estimate_seconds
from bench.run.timings import FILE_NAME, Timing, read_timings, write_timings
from tests.bench.conftest import TINY


def _die(*arguments: object) -> None:
    os.abort()


def test_estimates_that_cannot_be_kept_are_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()  # nobody can write there, not even who may write everywhere
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        write_timings(place, {"a": Timing(1.0)})
        assert read_timings(place) == {}


def test_a_timing_process_that_dies_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_time_runs", _die)
    runs = plan(load_experiment(str(TINY)), "tiny")
    with pytest.raises(EstimateError, match="the process that timed a few steps died"):
        estimate_seconds(runs[:1], load("digits"), torch.device("cpu"), tmp_path)
    assert not (tmp_path / FILE_NAME).exists()
