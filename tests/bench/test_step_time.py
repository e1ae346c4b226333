"""Steps that take too long to be timed whole are timed on fewer images, and what is said of them is an upper bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.data.datasets import load
from bench.device import engine as devices
from bench.device.engine import Engine
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.run import estimate, step_time
from bench.run.step_time import Allowance, seconds_per_step
from bench.run.timings import Timing, read_timings, said_of_parts, write_timings
from tests.bench.conftest import TINY

CPU = Engine(torch.device("cpu"))


class Clock:
    """A step takes `fixed` seconds and `each` for every image."""

    def __init__(self, fixed: float, each: float) -> None:
        self.now, self.fixed, self.each = 0.0, fixed, each
        self.sizes: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def step_on(self, images: int) -> Callable[[], object]:
        def step() -> None:
            self.sizes.append(images)
            self.now += self.fixed + self.each * images

        return step

    def seconds(self, batch_size: int, allowance: Allowance, engine: Engine = CPU) -> float:
        return seconds_per_step(self.step_on, batch_size, engine, nn.Identity(), allowance)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], Clock]:
    def make(fixed: float, each: float) -> Clock:
        made = Clock(fixed, each)
        monkeypatch.setattr(step_time, "time", made)
        return made

    return make


def test_a_step_that_can_be_timed_whole_is(clock: Callable[[float, float], Clock]) -> None:
    steps, allowance = clock(0.01, 0.01), Allowance(10.0)
    assert steps.seconds(64, allowance) == pytest.approx(0.65)
    assert steps.sizes == [4, 4, 64, 64, 64]
    assert allowance.part == 1
    few = clock(0.01, 0.01)
    few.seconds(3, allowance)
    assert few.sizes == [3, 3, 3, 3]


def test_a_step_too_long_is_timed_on_fewer_images(clock: Callable[[float, float], Clock]) -> None:
    """As many as fit in; reckoned up by the share of its batch, which counts what does not grow with it too often."""
    steps, allowance = clock(0.4, 0.1), Allowance(10.0)
    found = steps.seconds(256, allowance)
    assert steps.sizes == [4, 4, 16]
    assert allowance.part == 16 / 256
    assert found == pytest.approx(16 * (0.4 + 1.6))
    assert found > 0.4 + 25.6, "what a step takes"
    assert steps.now < 10


def test_where_no_time_is_left_two_small_steps_are_all(clock: Callable[[float, float], Clock]) -> None:
    steps, allowance = clock(0.0, 3.0), Allowance(0.0)
    assert steps.seconds(128, allowance) == pytest.approx(3.0 * 128)
    assert steps.sizes == [4, 4]
    assert allowance.part == 4 / 128
    whole = Allowance(math.inf)
    clock(0.0, 3.0).seconds(128, whole)
    assert whole.part == 1


def test_on_a_gpu_a_batch_is_always_whole(
    clock: Callable[[float, float], Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its memory is measured, too."""
    monkeypatch.setattr(Engine, "synchronize", lambda self: None)
    monkeypatch.setattr(Engine, "autocast", CPU.autocast.__func__)  # type: ignore[attr-defined]
    steps, allowance = clock(0.0, 3.0), Allowance(0.0)
    steps.seconds(128, allowance, replace(CPU, device=torch.device("cuda")))
    assert set(steps.sizes) == {128}
    assert allowance.part == 1


def test_what_was_timed_on_a_part_is_kept_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(estimate, "ProcessPoolExecutor", InThisProcess)
    training = [info for info in plan(load_experiment(str(TINY)), "tiny") if info.phase == "train"][:1]
    timings = estimate.timings_of(training, load("digits"), torch.device("cpu"), tmp_path)
    (timing,) = timings.values()
    assert timing.part == 4 / training[0].config["recipe"]["batch_size"]
    assert list(read_timings(tmp_path).values()) == [timing]
    write_timings(tmp_path, {"whole": Timing(1.0)})
    assert read_timings(tmp_path) == {"whole": Timing(1.0)}
    assert said_of_parts([timing, timing, Timing(1.0)]).startswith(" (at most: steps of 1 kind of run are too long")
    assert said_of_parts([Timing(1.0)]) == ""


class InThisProcess:
    """Stands in for a process of its own."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def submit(self, work: Callable[..., object], *arguments: object) -> InThisProcess:
        self.found = work(*arguments)
        return self

    def result(self) -> object:
        return self.found


def test_a_processor_without_bf16_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneDnn:
        supported = False

        def _is_mkldnn_bf16_supported(self) -> bool:
            return self.supported

    ours = OneDnn()
    monkeypatch.setattr(devices.torch.ops, "mkldnn", ours)
    cpu = torch.device("cpu")
    assert "several times longer than in fp32" in (devices.emulated(cpu, "bf16") or "")
    assert devices.emulated(cpu, "fp32") is None
    assert devices.emulated(torch.device("cuda"), "bf16") is None
    ours.supported = True
    assert devices.emulated(cpu, "bf16") is None
