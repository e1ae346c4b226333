"""Counts of published networks, to the unit (fvcore 0.1.5.post20221221)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.cli import main
from bench.device.doctor import checks
from bench.device.engine import Engine
from bench.run import cost
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build

CIFAR, IMAGENET = (36, 20, "cifar", 10, 32), (48, 14, "imagenet", 1000, 224)


def network(
    name: str, setting: tuple[int, int, str, int, int], auxiliary: bool
) -> tuple[nn.Module, tuple[int, int, int]]:
    channels, cells, stem, classes, size = setting
    settings = NetworkSettings(channels, cells, auxiliary, stem)
    return build(published(name), classes, settings), (3, size, size)


@pytest.mark.parametrize(
    ("name", "setting", "params", "training", "macs", "fvcore"),
    [
        ("DARTS_V2", CIFAR, 3_349_342, 3_825_768, 528_359_040, 539_123_328),
        ("PC_DARTS_cifar", IMAGENET, 5_270_560, 6_531_336, 571_137_408, 579_679_872),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (
                ("DARTS_V2", (36, 20, "cifar", 100, 32), 3_401_272, 3_946_908, 528_410_880, 539_175_168),
                ("DARTS_V2", IMAGENET, 4_718_752, 5_979_528, 529_911_552, 538_190_592),
                ("PC_DARTS_cifar", CIFAR, 3_634_678, 4_111_104, 556_670_592, 567_434_880),
            )
        ),
    ],
)
def test_golden_counts(
    name: str, setting: tuple[int, int, str, int, int], params: int, training: int, macs: int, fvcore: int
) -> None:
    built, shape = network(name, setting, auxiliary=True)
    assert count_params(built) == params
    assert count_params(built, auxiliary=True) == training
    assert count_macs(built, shape) == macs
    assert cost.fvcore_macs(built, shape) == fvcore


def test_all_costs_of_a_masked_network() -> None:
    torch.manual_seed(0)
    built = build(published("DARTS_V2"), 10, NetworkSettings(4, 3))
    name, weight = next((n, p) for n, p in built.named_parameters() if n.endswith("operations.0.2.weight"))
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask.view(-1)[:5] = False
    engine = Engine(torch.device("cpu"))
    costs = cost.network_costs(built, {name: mask}, (3, 32, 32), engine)
    assert costs["params"] == costs["params_training"] == sum(p.numel() for p in built.parameters())
    assert costs["params_nonzero"] == costs["params"] - 5
    assert costs["macs"] - costs["macs_sparse"] == 5 * 32 * 32
    assert costs["latency_ms"] > 0
    assert costs["latency_batch"] == 1
    assert costs["resolution"] == 32


def test_without_fvcore_one_sentence_and_all_other_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Missing, or broken in its own way, which is what an unmaintained package becomes."""
    monkeypatch.setitem(sys.modules, "fvcore.nn", None)
    said = "fvcore cannot be imported (ModuleNotFoundError: "
    assert main(["show", "DARTS_V2", "--cells", "3", "--channels", "4"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert said in shown
    assert "MACs at 32x32" in shown
    built, shape = network("DARTS_V2", (4, 3, "cifar", 10, 32), False)
    monkeypatch.setattr(cost, "LATENCY_SECONDS", 0.01)
    counts = cost.network_costs(built, {}, shape, Engine(torch.device("cpu")))
    assert (counts["macs_fvcore"], counts["params"]) == (None, count_params(built))
    assert capsys.readouterr().err.startswith(f"warning: {said}")
    (check,) = [check for check in checks(tmp_path) if check.name == "fvcore"]
    assert (check.good, check.needed) == (False, False)
    assert check.text.startswith(said)
