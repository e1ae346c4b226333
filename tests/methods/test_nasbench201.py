"""The space of NAS-Bench-201: its text, its networks against a naive oracle, its counts against the published table."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import bench.data.tables as tables
from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.decisions import enumerate_codes, neighbours
from methods.spaces.image_size import refuse_image_size
from methods.spaces.nasbench201.cell import OPERATIONS, read_cell, unread_edges, write_cell
from methods.spaces.nasbench201.counts import Size, counts_of_codes
from tests.oracles.nasbench201 import logits

SPACE = get_space("nasbench201")
SETTINGS = NetworkSettings()
DATASETS = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16": (120, 16)}
"""Classes and pixels."""
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"


@cache
def published() -> list[Mapping[str, str]]:
    with gzip.open(Path(tables.__file__).parent / "nasbench201.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def architecture(text: str, **scale: int) -> Architecture:
    return Architecture("nasbench201", {"cell": text}, scale)


def forty_cells() -> list[str]:
    """Random ones of the table, and the five cells with one operation everywhere."""
    chosen = np.random.default_rng(0).choice(len(published()), 35, replace=False)
    return [write_cell([name] * 6) for name in OPERATIONS] + [published()[index]["arch"] for index in chosen]


@pytest.mark.parametrize("dataset", DATASETS)
def test_closed_form_counts_are_the_published_ones_of_all_cells(dataset: str) -> None:
    classes, pixels = DATASETS[dataset]
    codes = np.array([SPACE.encode(architecture(row["arch"])) for row in published()])
    assert len(np.unique(codes, axis=0)) == 15_625
    params, macs = counts_of_codes(codes, Size(num_classes=classes, image_size=pixels))
    assert np.array_equal(params, [round(float(row[f"{dataset}_params_m"]) * 1e6) for row in published()])
    # the published FLOPs are multiply-adds, and add the classifier's biases
    assert np.array_equal(macs + classes, [round(float(row[f"{dataset}_flops_m"]) * 1e6) for row in published()])
    for index in (0, 6111, 15_624):
        counts = SPACE.counts(architecture(published()[index]["arch"]), classes, SETTINGS, pixels)
        assert (counts.params, counts.params_training, counts.macs) == (params[index], params[index], macs[index])


def test_forty_built_networks_are_counted_as_in_closed_form() -> None:
    cells = forty_cells()
    assert len(set(cells)) == 40
    assert set(Counter(name for cell in cells for name in read_cell(cell))) == set(OPERATIONS)
    for cell, (classes, pixels) in zip(cells, 14 * list(DATASETS.values()), strict=False):
        network = build(architecture(cell), classes, SETTINGS)
        counts = SPACE.counts(architecture(cell), classes, SETTINGS, pixels)
        assert counts.params == count_params(network)
        assert counts.macs == count_macs(network, (3, pixels, pixels))


@pytest.mark.parametrize("cell", [BEST, MIXED, *(write_cell([name] * 6) for name in OPERATIONS)])
@pytest.mark.parametrize("pixels", [32, 16])
def test_networks_compute_what_the_oracle_computes(cell: str, pixels: int) -> None:
    torch.manual_seed(0)
    network = build(architecture(cell, channels=3, cells_per_stage=2), 7, SETTINGS).double()
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")):
            value.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, pixels, pixels, dtype=torch.float64)
    found = network.eval()(images)
    expected = logits(network.state_dict(), cell, 2, images)
    assert found.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


def test_the_published_network_has_seventeen_cells_and_no_training_head() -> None:
    with torch.device("meta"):
        network = build(architecture(BEST), 10, NetworkSettings(channels=99, cells=3, auxiliary=True))
        assert len(network.cells) == 3 * 5 + 2
        assert network.stem[0].out_channels == 16
        assert network.classifier.in_features == 64
        assert network.train()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert SPACE.scale(architecture(BEST), SETTINGS) == {"channels": 16, "cells_per_stage": 5}


def test_an_experiment_scales_networks_that_state_no_scale() -> None:
    small = NetworkSettings(scales={"nasbench201": {"channels": 4, "cells_per_stage": 1}, "resnet": {"channels": 2}})
    assert len(build(architecture(BEST), 10, small).cells) == 5
    own = build(architecture(BEST, channels=6, cells_per_stage=2), 10, small)
    assert (len(own.cells), own.classifier.in_features) == (8, 24)
    assert build(Architecture("resnet", {"depth": 8}), 10, small).classifier.in_features == 8
    with pytest.raises(ArchitectureError, match=r"unknown scale 'cells'.* known: cells_per_stage, channels"):
        build(architecture(BEST), 10, NetworkSettings(scales={"nasbench201": {"cells": 3}}))


def test_every_cell_is_written_as_it_was_read() -> None:
    for code in enumerate_codes(SPACE):
        operations = tuple(OPERATIONS[option] for option in code)
        assert read_cell(write_cell(operations)) == operations
    assert {row["arch"] for row in published()} == {
        write_cell([OPERATIONS[i] for i in c]) for c in enumerate_codes(SPACE)
    }
    assert len(list(neighbours(SPACE, (0,) * 6))) == 24


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        (BEST, ()),
        (MIXED, ()),
        ("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|", (2, 4)),
        ("|skip_connect~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|", (0, 1)),
        ("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|", (0, 1, 2, 3, 4, 5)),
        (write_cell(["none"] * 6), (0, 1, 2, 3, 4, 5)),
    ],
)
def test_operations_that_carry_nothing_are_known(text: str, unread: tuple[int, ...]) -> None:
    assert unread_edges(read_cell(text)) == unread


@pytest.mark.parametrize("cell", forty_cells()[::4])
def test_what_is_known_to_carry_nothing_has_no_influence(cell: str) -> None:
    """The input's influence, by its gradient, before and after those operations are replaced by none."""
    torch.manual_seed(0)
    operations, unread = read_cell(cell), unread_edges(read_cell(cell))
    network = build(architecture(cell, channels=4, cells_per_stage=1), 3, SETTINGS).eval()
    one = network.cells[0]
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    one(x).sum().backward()
    assert bool(x.grad.any()) == (len(unread) < 6)
    for number, name in enumerate(operations):
        if number in unread and name != "none":
            inside = {id(parameter) for parameter in one.operations[number].parameters()}
            with torch.no_grad():
                before = torch.autograd.functional.jvp(one, x.detach(), torch.ones_like(x))[1]
                for parameter in one.parameters():
                    if id(parameter) in inside:
                        parameter.add_(1.0)
                torch.testing.assert_close(
                    torch.autograd.functional.jvp(one, x.detach(), torch.ones_like(x))[1], before
                )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            architecture(BEST.replace("nor_conv_3x3~2", "nor_conv_5x5~2")),
            "node 3, edge 3: unknown .*'nor_conv_5x5'",
        ),
        (architecture(BEST + "+|none~0|"), "4 nodes"),
        (architecture(7), "0 nodes in 7; a cell has 3"),  # type: ignore[arg-type]
        (architecture(BEST[:-1]), "is not .operation~input"),
        (Architecture("nasbench201", {}), "needs 'cell'"),
        (Architecture("nasbench201", {"cell": BEST, "cells": []}), "unknown key in a genotype of nasbench201: 'cells'"),
        (architecture(BEST, cells=20), "unknown scale 'cells'"),
        (architecture(BEST, channels=0), "scale.channels is 0"),
        (Architecture("nasbench201", {"cell": BEST}, widths={"stem": 4}), "leave 'widths' empty"),
    ],
)
def test_malformed_architectures_are_refused(found: Architecture, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        build(found, 10, SETTINGS)


def test_codes_stand_for_networks_of_the_table_only() -> None:
    assert SPACE.encode(architecture(BEST, channels=16, cells_per_stage=5)) == SPACE.encode(architecture(BEST))
    with pytest.raises(ArchitectureError, match=r"no code of nasbench201 stands .* scale of its own"):
        SPACE.encode(architecture(BEST, channels=8))


def test_image_sizes() -> None:
    for pixels in (8, 16, 32, 64):
        refuse_image_size(architecture(BEST, channels=4, cells_per_stage=1), SETTINGS, pixels)
    with pytest.raises(ArchitectureError, match="sizes that do: 8, 16, 24, 32, 40, 48"):
        refuse_image_size(architecture(BEST, channels=4, cells_per_stage=1), SETTINGS, 30)
    with pytest.raises(ArchitectureError, match="'nasbench201' has only its CIFAR form"):
        build(architecture(BEST), 10, NetworkSettings(stem="imagenet"))
