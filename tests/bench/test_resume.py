"""Killed at any point and started again, a run ends with the same bits; and the test for that has teeth."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.checkpoint import list_checkpoints
from bench.records.directory import RunDirectory
from bench.run import loop
from bench.run.one_run import DONE, INTERRUPTED, execute
from bench.run.stop import StopFlag
from tests.bench.conftest import TINY

TIMES = ("time", "wall_s", "device_s")


def outcome(directory: RunDirectory) -> dict[str, Any]:
    """Everything a run decides: bytes of weights and architecture, and its metrics without times."""
    lines = [{k: v for k, v in line.items() if k not in TIMES} for line in directory.read_metrics()]
    for line in lines:
        line["values"].pop("images_per_second")
    result = directory.read_result()
    assert result is not None
    files = {name: (directory.path / name) for name in ("weights.safetensors", "architecture.json")}
    found = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    return {**found, "metrics": lines, "final": result["metrics"], "images": result["costs"]["images"]}


def forked(directory: RunDirectory) -> int:
    """Do a run in a process of its own that writes every checkpoint, a fork of this one; returns its pid."""
    pid = os.fork()
    if pid == 0:
        loop.CHECKPOINT_SECONDS = 0.0
        os._exit(execute(directory.path, "cpu"))
    return pid


def kill(directory: RunDirectory, at: str, folder: str = "checkpoints") -> None:
    """Start (or continue) the run in a process of its own and SIGKILL it at the checkpoint called `at`."""
    pid = forked(directory)
    deadline = time.monotonic() + 120
    while not (directory.path / folder / at).exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert directory.read_result() is None
    assert list_checkpoints(directory.checkpoints)


@pytest.mark.slow
def test_sigkill_in_search_and_in_training(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    whole = tiny_runs("darts", folder="whole")
    killed = tiny_runs("darts", folder="killed")
    for alone, cut, at in zip(
        whole, killed, ["epoch-00000-step-0000003.pt", "epoch-00001-step-0000002.pt"], strict=True
    ):
        assert execute(alone.path, "cpu") == DONE
        kill(cut, at)
        assert execute(cut.path, "cpu") == DONE
        assert outcome(cut) == outcome(alone)


MGAS_IN: dict[str, dict[str, object]] = {
    "darts_cell": {"channels": 4, "cells": 3, "targets": [18000, 12000]},
    "chain_xs": {"space": "chain_xs", "targets": [60000, 45000], "lambda_few": 2, "lambda_many": 6},
}


def mgas_searches(tmp_path: Path, *folders: str, space: str = "darts_cell") -> list[RunDirectory]:
    """One small MGAS search through all phases, regrowth included, to be done in several folders."""
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"mgas": {"method": "mgas"}}
    content["profiles"]["tiny"]["options"] = {
        "mgas": {
            "batch_size": 16, "autoaugment": False,
            "warmup_epochs": [1], "commit_interval": 1, "phase_epochs": [3, 3, 3, 4], "max_epochs": 13,
            "stage_ratios": [0.6], "threshold_pace": 60.0, "lambda_delta": 5e-3, "weight_lr": 0.05,
        } | MGAS_IN[space]
    }  # fmt: skip
    path = tmp_path / "mgas.yaml"
    path.write_text(yaml.safe_dump(content))
    (info, *_) = plan(load_experiment(str(path)), "tiny", ["mgas"], [0])
    made = [RunDirectory(tmp_path / folder / info.name) for folder in folders]
    for directory in made:
        directory.create(info)
    return made


@pytest.mark.long
@pytest.mark.parametrize(("everywhere", "space"), [(False, "darts_cell"), (True, "darts_cell"), (True, "chain_xs")])
def test_sigkill_in_every_phase_of_mgas(everywhere: bool, space: str, tmp_path: Path) -> None:
    """Killed after a regrowth; everywhere: in the first stage, at its commit, in the last stage and at the end, too."""
    alone, cut = mgas_searches(tmp_path, "whole", "cut", space=space)
    assert execute(alone.path, "cpu") == DONE
    epochs = [line["values"] for line in alone.read_metrics()]
    assert {values["mgas/phase"] for values in epochs} == {1, 2, 3, 4}
    regrown = next(n for n, values in enumerate(epochs) if values["mgas/regrown"])
    places = [(0, 3), (1, 0), (regrown + 1, 0), (regrown + 1, 2), (len(epochs) - 1, 1)]
    for epoch, step in places if everywhere else places[2:3]:
        kill(cut, f"epoch-{epoch:05d}-step-{step:07d}.pt")
    assert execute(cut.path, "cpu") == DONE
    assert outcome(cut) == outcome(alone)
    family = sorted(file.relative_to(alone.path) for file in (alone.path / "family").rglob("*.*"))
    assert len(family) == 4
    for file in family:
        assert (cut.path / file).read_bytes() == (alone.path / file).read_bytes()


IN_CELLS: dict[str, object] = {"channels": 4, "cells": 3}
IN_A_CHAIN: dict[str, object] = {"space": "chain_xs"}
IN_WIDTHS: dict[str, object] = {"space": "chain_xs_widths", "arch_start_epoch": 0, "batch_size": 16}
IN_A_GRAPH: dict[str, object] = {"space": "graph_5", "channels": 4}
FEW_STEPS: dict[str, object] = {"weight_epochs": 0, "arch_start_epoch": 0, "arch_every": 2}
ROUNDS: dict[str, object] = {"ordered_epochs": 1, "arch_start_epoch": 0}


def small_searches(method: str, size: dict[str, object], tmp_path: Path, *folders: str) -> list[RunDirectory]:
    """One small search, to be done in several folders."""
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"row": {"method": method}}
    content["profiles"]["tiny"]["options"] = {method: {"epochs": 2, "batch_size": 8, **size}}
    (tmp_path / "paths.yaml").write_text(yaml.safe_dump(content))
    (info, *_) = plan(load_experiment(str(tmp_path / "paths.yaml")), "tiny", ["row"], [0])
    made = [RunDirectory(tmp_path / folder / info.name) for folder in folders]
    for directory in made:
        directory.create(info)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "size"),
    [
        pytest.param("gdas", IN_CELLS, id="gdas"),
        pytest.param("msg_das", IN_CELLS, id="msg_das", marks=pytest.mark.long),
        pytest.param("enas", IN_CELLS, id="enas", marks=pytest.mark.long),
        *(
            pytest.param(method, IN_A_CHAIN, id=f"{method}-chain", marks=pytest.mark.long)
            for method in ("darts", "pc_darts", "gdas", "msg_das")
        ),
        pytest.param("proxylessnas_r", IN_CELLS | FEW_STEPS, id="proxylessnas_r", marks=pytest.mark.long),
        pytest.param("proxylessnas", IN_A_CHAIN | FEW_STEPS, id="proxylessnas-chain", marks=pytest.mark.long),
        pytest.param("surgenas", IN_A_CHAIN | ROUNDS, id="surgenas-chain", marks=pytest.mark.long),
        pytest.param("fbnetv2", IN_WIDTHS, id="fbnetv2-widths"),
        pytest.param("autoshrink_gates", IN_A_GRAPH, id="autoshrink_gates", marks=pytest.mark.long),
    ],
)
def test_sigkill_in_searches_that_draw(method: str, size: dict[str, object], tmp_path: Path) -> None:
    """In the middle of an epoch and in the next one: draws, counts and what a controller has not stepped by go on."""
    size = size | {"arch_start_epoch": 1} if method == "pc_darts" else size
    alone, cut = small_searches(method, size, tmp_path, "whole", "cut")
    assert execute(alone.path, "cpu") == DONE
    for at in ("epoch-00000-step-0000003.pt", "epoch-00001-step-0000002.pt"):
        kill(cut, at)
    assert execute(cut.path, "cpu") == DONE
    assert outcome(cut) == outcome(alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["mutualnet", *(pytest.param(m, marks=pytest.mark.long) for m in ("us_net", "autoslim"))]
)
def test_sigkill_in_slimmable_searches(method: str, tmp_path: Path) -> None:
    """In the middle of an epoch, at its end, and while networks are scored; what they choose is the same, too."""
    size: dict[str, object] = {"space": "chain_xs_widths", "recalibration_batches": 1}
    alone, cut = small_searches(method, size, tmp_path, "whole", "cut")
    assert execute(alone.path, "cpu") == DONE
    for at in ("epoch-00000-step-0000003.pt", "epoch-00002-step-0000000.pt"):
        kill(cut, at)
    kill(cut, "epoch-00003-step-0000000.pt", "scores")
    assert execute(cut.path, "cpu") == DONE
    assert outcome(cut) == outcome(alone)
    results = [directory.read_result() or {} for directory in (cut, alone)]
    assert results[0]["query_table"] == results[1]["query_table"]
    assert results[0]["family"] == results[1]["family"]


class StopAfter(StopFlag):
    """Asks for a stop when it has been looked at a number of times: a signal at a chosen step."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def reason(self) -> str | None:  # type: ignore[override]
        self.looks -= 1
        return "a test" if self.looks < 0 else None


@pytest.mark.parametrize("row", [pytest.param("darts", marks=pytest.mark.long), "DARTS_V2"])
def test_stopped_at_every_step(row: str, tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    whole, cut = tiny_runs(row, folder="whole")[0], tiny_runs(row, folder="cut")[0]
    assert execute(whole.path, "cpu") == DONE
    stops = 0
    while execute(cut.path, "cpu", StopAfter(2)) == INTERRUPTED:
        stops += 1
        assert cut.read_info().status == "interrupted"
    assert stops >= 4
    assert outcome(cut) == outcome(whole)


@pytest.mark.parametrize("method", ["darts", pytest.param("pc_darts", marks=pytest.mark.long)])
def test_a_search_in_nasbench201_stopped_at_every_step(method: str, tmp_path: Path) -> None:
    small = {"space": "nasbench201", "epochs": 2, "channels": 4, "cells_per_stage": 1, "batch_size": 8}
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {"row": {"method": method}}
    content["profiles"]["tiny"]["options"] = {method: {**small, "arch_start_epoch": 0}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    info, *_ = plan(load_experiment(str(tmp_path / "small.yaml")), "tiny", None, [0])
    whole, cut = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    for directory in (whole, cut):
        directory.create(info)
    assert execute(whole.path, "cpu") == DONE
    stops = 0
    while execute(cut.path, "cpu", StopAfter(2)) == INTERRUPTED:
        stops += 1
    assert stops >= 4
    assert outcome(cut) == outcome(whole)
    assert all("arch/skips" in line["values"] for line in whole.read_metrics())


def test_without_the_random_state_the_bits_differ(
    tiny_runs: Callable[..., list[RunDirectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: drop path draws from torch's generator, so forgetting its state must show."""
    whole, cut = tiny_runs("DARTS_V2", folder="whole")[0], tiny_runs("DARTS_V2", folder="cut")[0]
    assert execute(whole.path, "cpu") == DONE
    monkeypatch.setattr(loop, "restore_random_state", lambda state: None)
    assert execute(cut.path, "cpu", StopAfter(9)) == INTERRUPTED
    assert execute(cut.path, "cpu") == DONE
    assert outcome(cut)["weights.safetensors"] != outcome(whole)["weights.safetensors"]


def test_a_finished_run_is_left_alone(tiny_runs: Callable[..., list[RunDirectory]]) -> None:
    (directory,) = tiny_runs("DARTS_V2")
    assert execute(directory.path, "cpu") == DONE
    before = {path: path.stat().st_mtime_ns for path in Path(directory.path).rglob("*") if path.name != ".lock"}
    assert execute(directory.path, "cpu") == DONE
    assert before == {path: path.stat().st_mtime_ns for path in Path(directory.path).rglob("*") if path.name != ".lock"}
