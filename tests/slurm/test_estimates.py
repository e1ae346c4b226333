"""What an experiment takes, before anything is submitted: by row, in jobs, and in time on several devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.data.datasets import load
from bench.plan.experiment import load_experiment
from bench.plan.recipe import Recipe
from bench.plan.runs import plan
from bench.records.checkpoint import save_checkpoint
from bench.records.directory import RunInfo
from bench.records.weights import save_weights
from bench.run.estimate import makespan, stand_ins
from bench.run.scale import storage_of
from bench.run.timings import FILE_NAME, Timing, key_of, read_timings, timed_on, write_timings
from bench.run.train import make_optimizer
from methods.spaces import NetworkSettings, build
from tests.bench.conftest import TINY

GPU = (("device", "NVIDIA Test 80GB"), ("torch", "2.99"))


def runs(needs: list[list[int]]) -> list[RunInfo]:
    """Runs that need earlier ones, by their numbers."""
    fields = {"experiment": "e", "profile": "p", "label": "l", "method": "m", "phase": "train", "dataset": "d"}
    return [
        RunInfo(**fields, search_seed=0, retrain_seed=n, signature=str(n), config={}, needs=[str(k) for k in before])  # type: ignore[arg-type]
        for n, before in enumerate(needs)
    ]


def second_by_second(planned: list[RunInfo], seconds: dict[str, float], devices: int) -> float:
    """The queue as `dasbench run` has it, in whole seconds."""
    left, ends, now = list(planned), dict[str, float](), 0
    while left or any(end > now for end in ends.values()):
        busy = sum(end > now for end in ends.values())
        for info in list(left):
            if busy < devices and all(need in ends and ends[need] <= now for need in info.needs):
                ends[info.signature] = now + seconds[info.signature]
                left.remove(info)
                busy += 1
        now += 1
    return max(ends.values())


@given(st.data(), st.integers(1, 8), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_queue_is_simulated_as_it_goes(data: st.DataObject, count: int, devices: int) -> None:
    needs = [sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=2))) if n else [] for n in range(count)]
    seconds = {str(n): float(data.draw(st.integers(1, 9))) for n in range(count)}
    planned = runs(needs)
    assert makespan(planned, seconds, devices) == second_by_second(planned, seconds, devices)


def test_one_device_takes_the_sum_and_many_the_longest_chain() -> None:
    planned, seconds = runs([[], [0], [], [1, 2]]), {"0": 5.0, "1": 4.0, "2": 7.0, "3": 1.0}
    assert [makespan(planned, seconds, devices) for devices in (1, 2, 64)] == [17.0, 10.0, 10.0]


def timed(runs_dir: Path, seconds: float = 1800.0, memory: int = 2**31) -> list[RunInfo]:
    planned = plan(load_experiment(str(TINY)), "tiny")
    networks = stand_ins(planned)
    keys = [key_of(info, networks.get(info.signature), None, GPU) for info in planned]
    write_timings(runs_dir, dict.fromkeys(keys, Timing(seconds, memory, GPU)))
    return planned


def test_timings_are_found_by_the_name_of_their_device(tmp_path: Path) -> None:
    planned = timed(tmp_path)
    timings, networks = read_timings(tmp_path), stand_ins(planned)
    found = timed_on(timings, planned, networks, "NVIDIA Test 80GB")
    assert found == {info.signature: Timing(1800.0, 2**31, GPU) for info in planned}
    assert timed_on(timings, planned, networks) == found
    assert timed_on(timings, planned, networks, "NVIDIA Other") == {}
    (tmp_path / FILE_NAME).write_text('{"a": 3.5, "b": {"seconds": "x"}, "c": true, "d": 1e99, "e": [1]}')
    assert read_timings(tmp_path) == {"a": Timing(3.5)}, "what earlier versions kept is read, what is no timing is not"


def launch(tmp_path: Path, *more: str) -> int:
    return main(["launch", str(TINY), "--profile", "tiny", "--runs-dir", str(tmp_path / "runs"), *more])


def test_hours_memory_jobs_and_wall_time_of_a_named_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    timed(tmp_path / "runs")
    assert launch(tmp_path, "--estimate", "--on", "NVIDIA Test 80GB", "--gpus", "1", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    said = [" ".join(line.split()) for line in lines]
    assert "By steps timed on one NVIDIA Test 80GB; an upper bound for searches that may stop early" in said
    cells = {line.split()[0]: line.split()[1:] for line in said if line.startswith(("darts", "DARTS_V2", "all"))}
    assert cells["darts"][:4] == ["2", "2", "2.0", "2.0"], "two searches and two trainings of half an hour, 2 GiB"
    assert cells["DARTS_V2"][:3] == ["1", "0.5", "2.0"]
    assert cells["all"][:2] == ["4", "5"]
    assert any(
        line.startswith("9 runs in 9 tasks of") and line.endswith("they are started 9 times in all") for line in said
    )
    assert "on 1 x NVIDIA Test 80GB: 4 h 30 min" in said
    assert "on 2 x NVIDIA Test 80GB: 2 h 30 min" in said
    assert any(line.startswith("on any number: 1 h 0 min") for line in said)
    assert not list((tmp_path / "runs").glob("*/")), "nothing is planned or submitted"


def test_what_was_not_timed_stays_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    timed(tmp_path / "runs")
    assert launch(tmp_path, "--estimate", "--on", "NVIDIA Other") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "No step of these runs was timed on NVIDIA Other (timings there are of: NVIDIA Test 80GB)" in said
    assert "hours and memory stay empty" in said
    assert "no wall time is given" in said
    assert "9 runs in 9 tasks" in said


def test_a_launch_without_a_cluster_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(tmp_path) == 2
    assert "--cluster, or ask what it takes with --estimate" in capsys.readouterr().err


def test_storage_is_what_runs_leave(tmp_path: Path) -> None:
    """Weights and two checkpoints of a training, as counted and as they lie on the disk."""
    info = next(info for info in plan(load_experiment(str(TINY)), "tiny", ["DARTS_V2"]) if info.phase == "train")
    info.config["network"] |= {"channels": 32, "cells": 6}
    (architecture,) = stand_ins([info]).values()
    network = build(architecture, 10, NetworkSettings(32, 6, in_channels=1))
    optimizer = make_optimizer(network, Recipe("r", epochs=1, batch_size=2, lr=0.1))
    network(torch.zeros(2, 1, 16, 16)).sum().backward()
    optimizer.step()
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    for step in range(2):
        save_checkpoint(tmp_path / "checkpoints", 0, step, "s", state)
    there = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert storage_of(info, architecture, load("digits").info) == pytest.approx(there, rel=0.15)
