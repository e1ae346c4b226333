"""Estimates of time are a courtesy: where none can be made, the runs go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.data.datasets import load
from bench.device.engine import make_engine
from bench.latency.fit import RELAXED
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.run import estimate
from bench.run.estimate import EstimateError, estimate_seconds
from bench.run.phases import fit as fitting_phase
from bench.run.timed_runs import Unmade, seconds_of
from bench.run.timings import FILE_NAME, Timing, key_of, read_timings, sources_of, write_timings
from methods.parts.costs.regression import EPOCHS
from tests.bench.conftest import TINY
from tests.bench.test_latency_rows import row
from tests.bench.test_row_cost import planned


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


def test_what_a_cost_weighs_is_not_timed_anew(tmp_path: Path) -> None:
    """Nor that there is one; another size of supernet is."""
    wide = {**row(), "options": {**row()["options"], "batch_size": 4}}
    rows = {"a": row(), "b": row(weight=3.0), "c": row(share=0.9, rate=0.05), "d": row(batch=8), "free": row()}
    del rows["free"]["cost"]
    infos = planned(tmp_path, **rows, wide=wide)
    searches = [info for info in infos if info.phase == "search"]
    assert len(searches) == 6
    keys = {info.rows[0]: key_of(info, None, None, ()) for info in searches}
    assert len({keys[label] for label in rows}) == 1
    assert keys["wide"] != keys["a"]
    measuring = [key_of(info, None, None, ()) for info in infos if info.phase == "collect"]
    assert len(set(measuring)) == 2  # with another batch they take another time


def test_fitting_is_timed_by_what_will_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def seconds(space: str, networks: int) -> float:
        asked.append((space, networks))
        return 7.0

    monkeypatch.setattr("bench.run.phases.fit.seconds_of_fitting", seconds)
    infos = planned(tmp_path, a=row())
    (fitting,) = (info for info in infos if info.phase == "fit")
    (measured,) = (info for info in infos if info.phase == "collect")
    assert sources_of(infos) == {fitting.signature: measured}
    engine = make_engine(torch.device("cpu"), "fp32", deterministic=True, threads=1)
    assert seconds_of(Unmade(fitting, None, measured), None, engine) == 7.0
    assert asked == [("chain_xs", 50)]
    assert seconds_of(Unmade(fitting, None, None), None, engine) == 1.0


def test_a_few_epochs_stand_for_all_of_fitting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many are twice as long, on a clock that counts batches and predictions."""
    now = 0.0

    def work(*arguments: object, epochs: int = 0, relaxed_at_each: int = 0, **others: object) -> None:
        nonlocal now
        now += epochs + relaxed_at_each

    monkeypatch.setattr(fitting_phase.time, "perf_counter", lambda: now)
    monkeypatch.setattr(fitting_phase, "learn", work)
    monkeypatch.setattr(fitting_phase, "gaps", work)
    learned, kinds = 2 * EPOCHS, 4 * RELAXED
    assert fitting_phase.seconds_of_fitting("chain_xs", 50) == pytest.approx(learned + kinds)
    assert fitting_phase.seconds_of_fitting("nasbench_macro", 50) == pytest.approx(EPOCHS + 3 * RELAXED)  # has no graph


def test_who_times_does_not_outlive_who_asked() -> None:
    """As where `dasbench run` is killed while it times a few steps."""
    asks = (
        "import os, signal, multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from bench.run.estimate import end_with_parent\n"
        "other = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), end_with_parent)\n"
        "print(other.submit(os.getpid).result(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    said = subprocess.run([sys.executable, "-c", asks], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    there, until = Path(f"/proc/{int(said.stdout)}/cmdline"), time.monotonic() + 20
    while there.exists() and there.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    assert not there.exists() or not there.read_bytes()
