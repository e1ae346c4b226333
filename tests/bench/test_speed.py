"""The speed tables: operations counted by hand, bytes moved, shares that add up, CSVs named by what they hold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from bench.cli import main
from bench.commands.speed import run
from bench.config import ConfigError
from bench.device.engine import Engine
from bench.speed import count
from bench.speed.cases import SIZES, TEXTBOOKS, Case, Step, cases
from methods.parts.executors import kernels

ENGINE = Engine(torch.device("cpu"))
TINY = {"darts": (4, 3, 4), "darts-201": (4, 1, 4), "pc_darts": (4, 3, 4), "mgas": (4, 3, 4), "retrain": (4, 3, 4)}


def test_operations_and_bytes_of_a_depthwise_step_by_hand() -> None:
    images = torch.randn(2, 4, 8, 8, requires_grad=True)
    weight = torch.randn(4, 1, 3, 3, requires_grad=True)

    def step() -> None:
        torch.autograd.grad(F.conv2d(images, weight, padding=1, groups=4).sum(), [images, weight])

    moved = count.moved(step)
    assert moved["flops"] == 3 * 2 * (2 * 8 * 8) * (4 * 9)  # forward and two gradients
    assert moved["bytes"] >= 4 * (2 * images.numel() + weight.numel())


def test_saved_bytes_count_each_storage_once() -> None:
    x = torch.randn(1000, requires_grad=True)

    def step() -> None:
        y = x.exp()  # kept once by this and twice by the product
        torch.autograd.grad((y * y).sum(), x)

    assert count.saved_bytes(step) == 4000


def test_unknown_case() -> None:
    with pytest.raises(ConfigError, match="did you mean 'darts'"):
        list(cases(["drats"], "small", ENGINE, False))


@pytest.mark.slow
def test_the_command_writes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)
    assert main(["speed", "darts-201", "retrain", "--device", "cpu", "--repeats", "1", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.csv")
    assert torch.__version__.split("+")[0] in path.name
    table = pd.read_csv(path)
    assert list(table["case"]) == ["darts-201", "retrain"]
    shares = table.filter(like="share ").sum(axis=1)
    assert ((shares > 99) & (shares < 101)).all()
    assert table["speedup"][0] > 0
    assert pd.isna(table["speedup"][1])
    assert (table["step_ms"] > table["roofline_ms"]).all()


def test_cases_in_turn_are_compared_and_what_draws_is_kept_with_its_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SIZES, "small", {"darts-201": (4, 1, 4), "gdas-201": (4, 1, 4)})
    order: list[str] = []
    whole = cases

    def followed(*arguments: object) -> list[Case]:
        made = whole(*arguments)  # type: ignore[arg-type]
        return [replace(case, step=partial(noted, order, case.name, case.step)) for case in made]

    monkeypatch.setattr("bench.speed.cases.cases", followed)
    arguments = ["darts-201", "gdas-201", "--in-turn", "--no-oracle", "--device", "cpu", "--repeats", "4"]
    assert main(["speed", *arguments, "--out", str(tmp_path)]) == 0
    assert "".join(name[0] for name in order).startswith("dg" * 6)  # a step to warm up, one before, four that count
    (path,) = tmp_path.glob("*-in-turn.csv")  # beside what was measured one after the other
    rows: Any = pd.read_csv(path, index_col="case").to_dict("index")
    darts, gdas = rows["darts-201"], rows["gdas-201"]
    assert (darts["in_turn_with"], gdas["in_turn_with"]) == ("gdas-201", "darts-201")
    least, middle, most = (gdas[f"saved_bytes{which}"] for which in ("_min", "", "_max"))
    assert least <= middle <= most < darts["saved_bytes_min"] == darts["saved_bytes"] == darts["saved_bytes_max"]
    ratio = gdas["step_ms"] / darts["step_ms"]
    assert f"gdas-201: {ratio:.2f} of the time of darts-201" in capsys.readouterr().out


def noted(order: list[str], name: str, step: Step) -> object:
    order.append(name)
    return step()


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "a.csv", {"case": "darts", "step_ms": 2.0}
        yield "a.csv", {"case": "mgas", "step_ms": 3.0}
        raise KeyboardInterrupt

    (tmp_path / "a.csv").write_text("case,step_ms\ndarts,1\ngdas,1\n")
    monkeypatch.setattr("bench.commands.speed._time_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(argparse.Namespace(out=tmp_path, count=False))
    table = pd.read_csv(tmp_path / "a.csv")
    assert dict(zip(table["case"], table["step_ms"], strict=True)) == {"gdas": 1, "darts": 2, "mgas": 3}


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.commands.speed._time_steps", lambda options: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    assert main(["speed", "darts", "--out", str(tmp_path / "file" / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot write to {tmp_path}/file/out: Not a directory; choose another folder" in line


@pytest.mark.long
def test_every_textbook_steps_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)
    for case in cases(list(TEXTBOOKS), "small", ENGINE, oracle=True):
        assert case.oracle is not None
        for _ in range(2):  # the second step sees what the first one updated
            ours, theirs = case.step(), case.oracle()
            if case.name == "mgas":  # from the same parameters; the others' are drawn in another order
                assert float(theirs) == pytest.approx(float(ours["loss_sum"]) / case.batch, rel=1e-4)


# -- counting without a device


def test_a_launch_moves_each_of_its_tensors_once() -> None:
    pytest.importorskip("triton")
    from methods.parts.executors.kernels.depthwise import relu_depthwise

    state = torch.empty(2, 4, 8, 8, device="meta")
    weight = torch.empty(3 * 4, 1, 3, 3, device="meta")
    dispatched = count.Dispatched()
    with count._as_on_a_gpu(dispatched) as launched:
        counts = count.moved(lambda: relu_depthwise(state, weight), dispatched)
    assert launched == ["_depthwise_forward"]
    assert counts["operations"] == 1
    statistics = 2 * 4
    assert counts["bytes"] == 4 * (state.numel() + weight.numel() + 3 * state.numel() + statistics)


def test_an_update_reads_and_writes_its_momenta() -> None:
    parameter = torch.nn.Parameter(torch.empty(10, device="meta"))
    parameter.grad = torch.empty(10, device="meta")
    plain, momentum = torch.optim.SGD([parameter], 0.1), torch.optim.SGD([parameter], 0.1, momentum=0.9)
    for optimizer, passes in ((plain, 3), (momentum, 5), (torch.optim.Adam([parameter], 0.1), 7)):
        dispatched = count.Dispatched()
        with count._as_on_a_gpu(dispatched):
            optimizer.step()
        assert dispatched.bytes == 4 * 10 * passes
    assert not kernels.usable(torch.empty(1, 1, 1, 1, device="meta"), [], 1)  # outside of a count


@pytest.mark.long
@pytest.mark.parametrize("name", ["darts", "pc_darts"])
def test_a_step_is_counted_by_the_book_by_plain_operations_and_by_own_kernels(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setitem(SIZES, "small", TINY)
    rows = {row["by"]: row for row in count.count([name], "small")}
    textbook, plain, own = (rows[by] for by in ("textbook", "plain operations", "own kernels"))
    assert textbook["operations"] > plain["operations"] > own["operations"] > own["own_kernels"] > 0
    assert textbook["saved_bytes"] > plain["saved_bytes"] > own["saved_bytes"] > 0
    assert own["gbyte_moved"] < plain["gbyte_moved"]


@pytest.mark.long
def test_recomputation_keeps_less_and_does_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)
    full, low = (next(count.count([name], "small", oracle=False)) for name in ("darts", "darts-low"))
    assert low["saved_bytes"] < full["saved_bytes"] / 2
    assert low["operations"] > full["operations"]


@pytest.mark.parametrize("name", ["darts", "darts-2nd", "pc_darts", "mgas", "retrain"])
def test_no_step_reads_a_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has none."""
    monkeypatch.setitem(SIZES, "small", TINY)
    for case in count._on_meta(cases([name], "small", count.META, oracle=False)):
        with count._as_on_a_gpu(count.Dispatched()):
            case.step()


def test_a_chain_is_measured_at_its_own_size_and_a_path_keeps_a_fraction_of_all_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["darts-chain", "proxylessnas-chain", "proxylessnas-chain-all"]
    monkeypatch.setitem(SIZES, "small", dict.fromkeys(names, (16, 11, 2)))
    mixed, two, every = (count.saved_bytes(case.step) for case in cases(names, "small", ENGINE, oracle=False))
    assert max(two, every) < mixed / 3


def test_a_step_that_reads_a_value_is_not_counted() -> None:
    assert count.counted_without_waiting(lambda: torch.empty((), device="meta").item()) is None


def test_the_command_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "published", TINY)
    assert main(["speed", "retrain", "--count", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / f"counted-fp32-torch-{torch.__version__.partition('+')[0]}.csv")
    assert list(table["by"]) == ["plain operations"]
    assert table["gflop"][0] > 0
    assert main(["speed", "retrain", "--count", "--precision", "bf16", "--out", str(tmp_path)]) == 2


def test_what_is_measured_again_replaces_its_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "published", TINY)
    name = f"counted-fp32-torch-{torch.__version__.partition('+')[0]}.csv"
    before = {"case": ["darts", "mgas", "retrain"], "by": ["textbook"] * 3, "operations": [1234567, None, 7]}
    pd.DataFrame(before).to_csv(tmp_path / name, index=False)
    assert main(["speed", "retrain", "--count", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / name)
    assert list(table["case"]) == ["darts", "mgas", "retrain"]
    assert list(table["by"]) == ["textbook", "textbook", "plain operations"]
    assert table["operations"][0] == 1234567
