"""On a GPU: replays equal eager steps, nothing in a step waits for the device, and a continued run has the same bits.

`pytest -m gpu` runs these; without a GPU they are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.device.engine import Engine, make_engine
from bench.device.graph import SWITCH, WARM_UP, CudaRecorder
from bench.records.directory import RunDirectory
from bench.run.one_run import DONE, INTERRUPTED, execute
from methods.base import GradientSearch, SearchContext
from methods.genotypes import published
from methods.parts.executors import kernels
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from tests.bench.test_resume import StopAfter, outcome

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

SEARCHES = {
    "darts": {"channels": 8, "cells": 3, "batch_size": 16},
    "darts unrolled": {"channels": 8, "cells": 3, "batch_size": 16, "unrolled": True},
    "darts low": {"channels": 8, "cells": 3, "batch_size": 16, "memory": "low"},
    "pc_darts": {"channels": 8, "cells": 3, "batch_size": 16, "arch_start_epoch": 0},
    "mgas": {"channels": 8, "cells": 3, "batch_size": 16},
    "darts nasbench201": {"space": "nasbench201", "channels": 8, "cells_per_stage": 1, "batch_size": 16},
    "darts chain": {"space": "chain_xs", "batch_size": 16},
}
SINGLE_PATHS = {
    "gdas": {"channels": 8, "cells": 3, "batch_size": 16},
    "proxylessnas": {"space": "chain_xs", "batch_size": 16, "weight_epochs": 0, "arch_start_epoch": 0, "arch_every": 1},
}


def engine(precision: str = "fp32") -> Engine:
    return make_engine(torch.device("cuda", 0), precision, deterministic=True, threads=1)


def search(name: str) -> GradientSearch:
    torch.manual_seed(0)
    cls = get_method(name.split()[0])
    options = (SEARCHES | SINGLE_PATHS)[name]
    method = cls(cls.Options(**options), SearchContext(num_classes=10))  # type: ignore[call-arg]
    assert isinstance(method, GradientSearch)
    method.to(torch.device("cuda", 0))
    method.on_epoch_start(0)
    method.supernet.train()
    return method


def data(count: int, paired: bool) -> list[tuple[Any, Any]]:
    generator = torch.Generator().manual_seed(1)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randn(16, 3, 32, 32, generator=generator)
        return images.cuda(), torch.randint(10, (16,), generator=generator).cuda()

    return [(batch(), batch() if paired else None) for _ in range(count)]


def steps(name: str, engine: Engine, count: int) -> tuple[list[float], dict[str, torch.Tensor]]:
    method = search(name)

    def update(train_batch: Any, valid_batch: Any) -> dict[str, torch.Tensor]:
        with engine.autocast():
            return method.step(train_batch, valid_batch)

    step = engine.graphed(update, method.supernet)
    losses = [step(*pair)["loss_sum"].clone() for pair in data(count, method.split.paired)]
    if engine.recorder_of(method.supernet) is not None:
        assert step.recording is not None, "the step was not recorded"
    state = {name: value.clone() for name, value in method.supernet.state_dict().items()}
    return [float(loss) for loss in losses], state


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", list(SEARCHES))
def test_replays_have_the_bits_of_eager_steps(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = steps(name, engine(precision), WARM_UP + 5)
    monkeypatch.setenv(SWITCH, "0")
    eager = steps(name, engine(precision), WARM_UP + 5)
    assert replayed[0] == eager[0]
    assert all(torch.equal(replayed[1][key], eager[1][key]) for key in eager[1])


@pytest.mark.parametrize("name", list(SINGLE_PATHS))
def test_single_paths_are_not_recorded_and_repeat_their_bits(name: str) -> None:
    remarks: dict[str, str] = {}
    own = replace(engine(), remark=remarks.__setitem__)
    first, again = (steps(name, own, WARM_UP + 2) for _ in range(2))
    assert first[0] == again[0]
    assert "decides on the host" in remarks["cuda_graph"]


@pytest.mark.parametrize("name", list(SEARCHES))
def test_nothing_in_a_step_waits_for_the_device(name: str) -> None:
    method, own = search(name), CudaRecorder(torch.device("cuda", 0))
    for pair in data(2, method.split.paired):
        own.eager(lambda pair=pair: method.step(*pair))
    (pair,) = data(1, method.split.paired)
    torch.cuda.set_sync_debug_mode("error")
    try:
        own.eager(lambda: method.step(*pair))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 3e-2)])
@pytest.mark.parametrize("name", ["darts", "pc_darts"])
def test_own_kernels_take_the_step_of_the_plain_functions(name: str, precision: str, tolerance: float) -> None:
    """Losses of four steps, relative; the kernels are tested one by one in tests/methods/test_kernels.py."""
    fused = steps(name, engine(precision), WARM_UP + 1)[0]
    with kernels.disabled():
        plain = steps(name, engine(precision), WARM_UP + 1)[0]
    assert kernels.why_not() is None
    assert fused == pytest.approx(plain, rel=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_random_numbers_of_drop_path_are_the_same_in_a_replay(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def losses() -> list[float]:
        own = engine(precision)
        torch.manual_seed(0)
        network = build(published("DARTS_V2"), 10, NetworkSettings(8, 3, auxiliary=False)).cuda()
        network.to(memory_format=own.memory_format).train()
        network.set_drop_path(0.5)  # type: ignore[operator]

        def update(images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            with own.autocast(), torch.no_grad():
                return {"loss_sum": network(images).float().logsumexp(1).sum()}

        step = own.graphed(update)
        torch.manual_seed(7)
        return [float(step(*pair[0])["loss_sum"]) for pair in data(WARM_UP + 4, False)]

    replayed = losses()
    monkeypatch.setenv(SWITCH, "0")
    assert replayed == losses()
    assert len(set(replayed)) == len(replayed)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["darts", "DARTS_V2"])
def test_a_continued_run_has_the_bits_of_one_left_alone(
    row: str, tiny_runs: Callable[..., list[RunDirectory]], tmp_path: Path
) -> None:
    whole, cut = tiny_runs(row, folder="whole")[0], tiny_runs(row, folder="cut")[0]
    assert execute(whole.path, "cuda") == DONE
    assert whole.read_info().environment["cuda_graph"] == "on"
    while execute(cut.path, "cuda", StopAfter(WARM_UP + 3)) == INTERRUPTED:
        pass
    assert outcome(cut) == outcome(whole)
