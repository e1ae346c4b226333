"""One-shot weights: a path is the discrete network of its code, and only what lies on it is touched."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from methods.architecture import ArchitectureError
from methods.spaces.cell.space import CellSpace
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.decisions import Code, sample_code
from methods.spaces.nasbench201.cell import OPERATIONS
from methods.spaces.nasbench201.network import Network201
from methods.spaces.nasbench201.paths import Paths201
from methods.spaces.nasbench201.space import NASBench201Space
from methods.spaces.paths import PathSupernet
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import PATHS, RELAXATIONS, path_supernet, relaxation
from tests.oracles.cell_supernet import Supernet

SMALL = SupernetSettings(channels=4, cells=3, cells_per_stage=1)
MIXED = (3, 0, 1, 2, 4, 3)
DEAD = (0, 0, 0, 0, 0, 0)


def small(space: str = "nasbench201") -> PathSupernet:
    torch.manual_seed(0)
    return path_supernet(space, 10, SMALL)


def images(number: int = 8) -> torch.Tensor:
    return torch.randn(number, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def discrete(supernet: Paths201, code: Code) -> Network201:
    """The network of a code with the supernet's weights, its normalisations without scale and shift."""
    network = Network201([OPERATIONS[option] for option in code], 10, 4, 1, 3)
    for cell in network.cells:
        for operation in getattr(cell, "operations", ()):
            if isinstance(operation, nn.Sequential):
                operation[2] = nn.BatchNorm2d(int(operation[1].out_channels), affine=False)  # type: ignore[arg-type]
    shared = supernet.frame.state_dict()
    for key in network.state_dict():
        if ".operations." in key:
            number, edge, rest = key.replace("cells.", "", 1).replace("operations.", "", 1).split(".", 2)
            network.state_dict()[key].copy_(shared[f"cells.{number}.inside.edges.{edge}.{code[int(edge)]}.{rest}"])
        else:
            network.state_dict()[key].copy_(shared[key])
    return network


@pytest.mark.parametrize("code", [MIXED, DEAD, (1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3)])
def test_a_path_is_the_network_of_its_code(code: Code) -> None:
    supernet = small()
    assert isinstance(supernet, Paths201)
    network, x = discrete(supernet, code), images()
    assert torch.equal(supernet(x, code), network(x))
    assert torch.equal(supernet.eval()(x, code), network.eval()(x))


def test_a_step_touches_what_lies_on_the_path_and_nothing_else() -> None:
    supernet = small()
    supernet(images(), MIXED).sum().backward()
    touched = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    on_path = {f"edges.{edge}.{option}" for edge, option in enumerate(MIXED)}
    inside = {name for name, _ in supernet.named_parameters() if ".inside." in name}
    expected = {name for name in inside if any(f"inside.{place}." in name for place in on_path)}
    assert touched == expected | {name for name, _ in supernet.named_parameters() if name not in inside}
    counted = {name for name, buffer in supernet.named_buffers() if "num_batches" in name and buffer > 0}
    assert {name for name in counted if ".inside." in name} == {
        name for name, _ in supernet.named_buffers() if "num_batches" in name and any(f".{p}." in name for p in on_path)
    }


def test_uniform_paths_choose_every_operation_of_every_edge_as_often() -> None:
    generator, space = torch.Generator().manual_seed(0), NASBench201Space()
    codes = torch.tensor([sample_code(space, generator) for _ in range(5000)])
    shares = torch.stack([(codes == option).double().mean(dim=0) for option in range(5)])
    assert float((shares - 0.2).abs().max()) < 0.03  # five standard deviations of a share


def test_recalibrated_statistics_are_those_of_the_batches() -> None:
    supernet, batches = small(), [images(8), images(8) * 2 + 1]
    for _ in range(3):
        supernet(images() * 5, MIXED)  # statistics of other inputs
    before = {name: value.clone() for name, value in supernet.named_parameters()}
    supernet.eval()
    supernet.recalibrate(MIXED, batches)
    stem = supernet.frame.stem  # type: ignore[union-attr]
    means = torch.stack([stem[0](batch).mean((0, 2, 3)) for batch in batches]).mean(0)  # type: ignore[index,operator]
    torch.testing.assert_close(stem[1].running_mean, means)  # type: ignore[index,union-attr]
    assert not supernet.training
    assert {module.momentum for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)} == {0.1}
    assert all(torch.equal(value, before[name]) for name, value in supernet.named_parameters())
    large = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    supernet.recalibrate(MIXED, [large])  # a batch by its own statistics, but for the unbiased variance
    torch.testing.assert_close(supernet(large, MIXED), supernet.train()(large, MIXED), atol=5e-3, rtol=0.0)


def test_supernets_are_found_in_the_folders_of_their_spaces() -> None:
    expected = ["darts_cell", "staged_cell", "chain_s", "chain_xs", "chain_imagenet", "nasbench201"]
    assert list(RELAXATIONS) == list(PATHS) == expected
    assert all(relaxation(name).space == name for name in PATHS)


def test_what_has_no_path_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="'vgg' has no supernet of single paths; these spaces have"):
        path_supernet("vgg", 10, SMALL)
    with pytest.raises(ArchitectureError, match="6 entries, not 2"):
        small()(images(), (1, 2))


def test_a_path_of_darts_cells_is_the_textbook_supernet_with_one_hot_gates() -> None:
    """Of the chosen edges only what a code names enters a node; the textbook computes everything and weighs it."""
    space = CellSpace("darts_cell")
    code = sample_code(space, torch.Generator().manual_seed(3))
    supernet = small("darts_cell").double()
    oracle = Supernet(10, SMALL.channels, SMALL.cells).double()
    oracle.load_state_dict(
        {
            re.sub(r"inside\.edges\.(\d+)\.(\d)", r"edges.\1.operations.\2", k): v
            for k, v in supernet.state_dict().items()
        }
    )
    gates = {}
    for kind, cell in space.decode(code).genotype.items():
        operations, edges = torch.zeros(14, 8).double(), torch.zeros(14).double()
        for operation, source, node in cell["edges"]:
            row = TOPOLOGY.edges.index((source, node))
            edges[row] = operations[row, TOPOLOGY.operations.index(operation)] = 1.0
        gates[kind] = operations, edges
    x = images().double()
    torch.testing.assert_close(supernet(x, code), oracle(x, gates))
    supernet(x, code).sum().backward()
    touched = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    assert (
        0 < sum("inside" in name for name in touched) < sum("inside" in n for n, _ in supernet.named_parameters()) / 4
    )
