"""The general cell space: any cell against a naive oracle, its counts, what it refuses, what it leaves as it was."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.cell.conventions import CHOICES, DARTS, FAMILIES
from methods.spaces.cell.general import SAMPLED_OPERATIONS
from methods.spaces.operation_names import KNOWN
from tests.methods.test_channels_cells import check_shrink, randomise
from tests.oracles.general_cell import logits

SETTINGS = NetworkSettings(channels=8, cells=5)


def seeds(often: int, all_of_them: int) -> pytest.MarkDecorator:
    """Cells to draw: some in `make test`, all in `make test-long`."""
    chosen = [pytest.param(seed, marks=() if seed < often else pytest.mark.long) for seed in range(all_of_them)]
    return pytest.mark.parametrize("seed", chosen)


def random_cell(draw: random.Random, gaps: bool, operations: list[str]) -> dict[str, Any]:
    """Up to five nodes of up to three operations, a concatenation of any states, inputs included."""
    nodes = draw.randint(2, 6)
    edges = [
        [draw.choice(operations), draw.randrange(node), node]
        for node in range(2, nodes + 1)
        for _ in range(draw.randint(0 if gaps and node < nodes else 1, 3))
    ]
    edges.append([draw.choice(operations), draw.randrange(2), nodes])  # the last node is never empty
    concat = [*draw.sample(range(nodes), draw.randint(0, nodes)), nodes]
    return {"edges": edges, "concat": concat}


def random_architecture(seed: int, without: tuple[str, ...] = ("noise",), **conventions: object) -> Architecture:
    draw = random.Random(seed)
    chosen = {name: draw.choice(values) for name, values in CHOICES.items()} | conventions
    operations = [name for name in KNOWN if name not in without]
    gaps = chosen["empty_nodes"] == "left_out"
    cells = {kind: random_cell(draw, gaps, operations) for kind in ("normal", "reduce")}
    return Architecture("general_cell", {**cells, "conventions": chosen})


@seeds(10, 24)
def test_any_cell_computes_what_the_oracle_does(seed):
    architecture = random_architecture(seed)
    torch.manual_seed(seed)
    network = build(architecture, 10, SETTINGS).double().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        expected = logits(architecture.genotype, network.state_dict(), images, SETTINGS.cells)
        torch.testing.assert_close(network(images), expected, atol=1e-12, rtol=1e-12)


@seeds(8, 24)
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_closed_form_counts_are_the_counter_s(seed, stem):
    architecture, size = random_architecture(seed, ()), 32 if stem == "cifar" else 64
    settings = NetworkSettings(channels=16, cells=6, auxiliary=True, stem=stem)
    with torch.device("meta"):
        network = build(architecture, 7, settings)
    counts = get_space("general_cell").counts(architecture, 7, settings, size)
    assert counts.params == count_params(network)
    assert counts.params_training == count_params(network, auxiliary=True)
    assert counts.macs == count_macs(network, (3, size, size))


@seeds(5, 12)
def test_channels_of_any_cell_can_be_removed(seed):
    """Norms without scale and noise are left out: a removed filter does not make their channel zero."""
    chosen = random.Random(seed).choice(["none", "affine"])
    architecture = random_architecture(seed, ("noise",), affine=True, pool_norm=chosen)
    check_shrink(architecture, SETTINGS, seed, torch.float64, 1e-11)


def test_a_grouped_convolution_keeps_its_input():
    architecture = published("GDAS_FRC")
    large, small = check_shrink(architecture, SETTINGS, 0, torch.float64, 1e-12)
    reduction = SETTINGS.cells // 3
    assert small.cells[reduction].layout.widths[:2] == large.cells[reduction].layout.widths[:2]
    assert small.cells[0].layout.widths[2] < large.cells[0].layout.widths[2]


def test_a_darts_cell_is_the_same_network_in_both_spaces():
    """Names, initial bits, outputs and drop path."""
    one = published("PC_DARTS_cifar")
    other = Architecture("general_cell", {**one.genotype, "conventions": DARTS.to_json()})
    built = []
    for architecture in (one, other):
        torch.manual_seed(0)
        network = build(architecture, 10, NetworkSettings(4, 5, auxiliary=True))
        network.set_drop_path(0.3)
        built.append((network.state_dict(), network(torch.ones(3, 3, 32, 32))))
    assert list(built[0][0]) == list(built[1][0])
    assert all(torch.equal(a, b) for a, b in zip(built[0][0].values(), built[1][0].values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(built[0][1], built[1][1], strict=True))


def test_drop_path_of_a_node_drops_its_identities_too():
    """One node of an identity: dropping operations leaves it, dropping nodes does not."""
    cell = {"edges": [["skip_connect", 0, 2]], "concat": [2]}
    outputs = {}
    for kind in ("operation", "node"):
        conventions = DARTS.to_json() | {"drop_path": kind}
        architecture = Architecture("general_cell", {"normal": cell, "reduce": cell, "conventions": conventions})
        torch.manual_seed(0)
        first = build(architecture, 10, NetworkSettings(8, 6)).cells[0]
        images = torch.randn(64, 24, 8, 8)
        outputs[kind] = first(images, images, torch.tensor(0.5)).abs().sum((1, 2, 3))
    assert (outputs["operation"] > 0).all()
    assert 16 < (outputs["node"] == 0).sum() < 48


def test_the_imagenet_auxiliary_head_is_as_declared():
    cell = {"edges": [["skip_connect", 0, 2]], "concat": [2]}
    norms = {}
    for family in ("darts", "autodl"):
        genotype = {"normal": cell, "reduce": cell, "conventions": FAMILIES[family].to_json()}
        settings = NetworkSettings(8, 6, True, "imagenet")
        network = build(Architecture("general_cell", genotype), 10, settings)
        norms[family] = sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.auxiliary_head)
    assert norms == {"darts": 1, "autodl": 2}


def test_samples_are_valid_and_reach_the_whole_stated_space():
    generator = torch.Generator().manual_seed(0)
    space = get_space("general_cell")
    drawn = [space.sample(generator) for _ in range(60)]
    for architecture in drawn:
        space.validate(architecture)
    edges = [edge for a in drawn for kind in ("normal", "reduce") for edge in a.genotype[kind]["edges"]]
    assert {operation for operation, _, _ in edges} == set(SAMPLED_OPERATIONS)
    assert {(source, node) for _, source, node in edges} == {(s, n) for n in range(2, 7) for s in range(n)}
    pairs = [(a[1], b[1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert any(a == b for a, b in pairs)
    again = torch.Generator().manual_seed(0)
    assert [space.sample(again).digest for _ in range(3)] == [a.digest for a in drawn[:3]]
    randomise(build(drawn[0], 10, SETTINGS))


GOOD = {"edges": [["sep_conv_3x3", 0, 2], ["skip_connect", 0, 2], ["none", 2, 3]], "concat": [1, 2, 3]}


def changed(**cell: object) -> dict[str, Any]:
    return {"normal": GOOD | cell, "reduce": GOOD, "conventions": DARTS.to_json()}


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (changed(edges=[["sep_conv_9x9", 0, 2]]), "cell 'normal', edge 0: unknown operation 'sep_conv_9x9'; did you"),
        (changed(edges=[["sep_conv_3x3", 2, 2]]), r"cell 'normal', edge 0: \['sep_conv_3x3', 2, 2\] must lead from"),
        (changed(edges=[["skip_connect", 0, 2], 7]), "cell 'normal', edge 1: 7 is not"),
        (changed(edges=[["skip_connect", True, 2]]), "cell 'normal', edge 0: .* must lead from an earlier"),
        (changed(edges=[[["skip_connect"], 0, 2]]), "cell 'normal', edge 0: unknown operation"),
        (changed(edges=None), "cell 'normal': 'edges' must be a list, not None"),
        (changed(edges=[]), "cell 'normal': concat .* names 2, not a state up to 1"),
        (changed(concat=[2, 4]), "cell 'normal': concat .* names 4, not a state up to 3"),
        (changed(concat=[[2]]), "cell 'normal': concat .* names"),
        (changed(concat=[2, 2]), "each once"),
        (changed(concat=[]), "must name states"),
        (changed(edges=[["skip_connect", 0, 3]], concat=[3, 2]), "nothing enters node 2; .*left_out"),
        ({"normal": GOOD, "conventions": DARTS.to_json()}, "needs 'normal' and 'reduce', or 'cells'"),
        ({"cells": 3, "conventions": DARTS.to_json()}, "must be a list of 1 to 200 cells"),
        ({"normal": GOOD, "reduce": GOOD}, "needs 'conventions'"),
        (changed() | {"conventions": {"pool_norm": "none"}}, "'affine' is missing; it is one of true, false"),
        (changed() | {"conventions": DARTS.to_json() | {"pool_norm": "yes"}}, "'pool_norm' is 'yes', not one of"),
        (changed() | {"conventions": DARTS.to_json() | {"affine": 1}}, "'affine' is 1, not one of true, false"),
        (changed() | {"conventions": DARTS.to_json() | {"bn": 1}}, "conventions: unknown 'bn'"),
        (changed() | {"normal_concat": [2]}, "unknown 'normal_concat' in a general cell genotype"),
    ],
)
def test_a_malformed_genotype_is_one_clear_error(genotype, message):
    with pytest.raises(ArchitectureError, match=message):
        get_space("general_cell").validate(Architecture("general_cell", genotype))


def test_widths_that_do_not_divide_into_groups_are_an_error():
    with pytest.raises(ArchitectureError, match="needs a multiple of 8 channels, not 20"):
        build(published("GDAS_FRC"), 10, NetworkSettings(channels=10, cells=6))


def test_only_empty_nodes_cannot_be_joined():
    cell = {"edges": [["skip_connect", 0, 3]], "concat": [2]}
    genotype = {"normal": cell, "reduce": cell, "conventions": FAMILIES["fairdarts"].to_json()}
    with pytest.raises(ArchitectureError, match="joins nothing but empty nodes"):
        get_space("general_cell").validate(Architecture("general_cell", genotype))


@pytest.mark.parametrize("name", ["ENASNet", "NASNet_A"])
def test_the_space_of_darts_refuses_other_cells_and_names_this_one(name):
    genotype = {kind: published(name).genotype[kind] for kind in ("normal", "reduce")}
    with pytest.raises(ArchitectureError, match="general_cell"):
        get_space("darts_cell").validate(Architecture("darts_cell", genotype))
