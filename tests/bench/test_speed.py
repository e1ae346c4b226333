"""The speed table: operations counted by hand, bytes moved, shares that add up, a CSV named by the machine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from bench import speed
from bench.cli import main
from bench.config import ConfigError
from bench.engine import Engine

ENGINE = Engine(torch.device("cpu"))


def test_operations_and_bytes_of_a_depthwise_step_by_hand() -> None:
    images = torch.randn(2, 4, 8, 8, requires_grad=True)
    weight = torch.randn(4, 1, 3, 3, requires_grad=True)

    def step() -> None:
        torch.autograd.grad(F.conv2d(images, weight, padding=1, groups=4).sum(), [images, weight])

    moved = speed._moved(step)
    assert moved["flops"] == 3 * 2 * (2 * 8 * 8) * (4 * 9)  # forward and two gradients
    assert moved["bytes"] >= 4 * (2 * images.numel() + weight.numel())


def test_saved_bytes_count_each_storage_once() -> None:
    x = torch.randn(1000, requires_grad=True)
    assert speed._saved_bytes(lambda: torch.autograd.grad((x.exp() * 2).sum(), x)) == 4000


def test_unknown_case() -> None:
    with pytest.raises(ConfigError, match="did you mean 'darts'"):
        list(speed.cases(["drats"], "small", ENGINE, False))


@pytest.mark.slow
def test_the_command_writes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speed.SIZES, "small", {"darts": (4, 3, 4), "retrain": (4, 3, 4)})
    assert main(["speed", "darts", "retrain", "--device", "cpu", "--repeats", "1", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.csv")
    assert torch.__version__.split("+")[0] in path.name
    table = pd.read_csv(path)
    assert list(table["case"]) == ["darts", "retrain"]
    shares = table.filter(like="share ").sum(axis=1)
    assert ((shares > 99) & (shares < 101)).all()
    assert table["speedup"][0] > 0
    assert pd.isna(table["speedup"][1])
    assert (table["step_ms"] > table["roofline_ms"]).all()
