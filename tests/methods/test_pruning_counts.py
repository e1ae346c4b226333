"""Counts against the published architectures' exact values and against arithmetic by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from methods.architecture import Architecture
from methods.parts.counts import count_macs, count_nonzero, count_params, module_macs
from methods.spaces import NetworkSettings, build

GENOTYPES = Path(__file__).parents[2] / "methods" / "genotypes"
CIFAR = NetworkSettings(channels=36, cells=20, auxiliary=True)
IMAGENET = NetworkSettings(channels=48, cells=14, auxiliary=True, stem="imagenet")


@pytest.mark.parametrize(
    ("name", "classes", "settings", "size", "params", "with_auxiliary", "macs"),
    [
        ("DARTS_V2", 10, CIFAR, 32, 3_349_342, 3_825_768, 528_359_040),
        ("DARTS_V2", 1000, IMAGENET, 224, 4_718_752, 5_979_528, 529_911_552),
        ("PC_DARTS_cifar", 100, CIFAR, 32, 3_686_608, 4_232_244, 556_722_432),
    ],
)
def test_published_architectures(name, classes, settings, size, params, with_auxiliary, macs):
    with torch.device("meta"):
        network = build(Architecture.load(GENOTYPES / f"{name}.json"), classes, settings)
    assert count_params(network) == params
    assert count_params(network, auxiliary=True) == with_auxiliary
    assert count_macs(network, (3, size, size)) == macs


def test_by_hand_dense_sparse_and_mode_restored():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=True), nn.Dropout(), nn.Flatten(), nn.Linear(8 * 16, 10)
    )
    network[1].eval()
    masks = {"0.weight": torch.zeros(8, 3, 3, 3, dtype=torch.bool)}
    masks["0.weight"][0] = True
    assert module_macs(network, (3, 8, 8)) == {"0": 16 * 8 * 27, "3": 1280}
    assert count_macs(network, (3, 8, 8), masks) == 16 * 27 + 1280
    assert count_nonzero(network, masks) == count_params(network) - 7 * 27
    assert network.training
    assert not network[1].training


def test_a_layer_used_twice_counts_twice():
    layer = nn.Conv2d(4, 4, 1, bias=False)
    assert count_macs(nn.Sequential(layer, layer), (4, 2, 2)) == 2 * 4 * 16
