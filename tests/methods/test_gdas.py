"""GDAS: what its steps change, its two rules of derivation, its fixed reduction cell, its released variant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from methods.base import MethodError
from methods.genotypes import published
from methods.gradient.gdas import GDAS, GDASOptions
from methods.parts.convolution import in_memory_format
from methods.parts.discretiser import top_two_edges, top_two_pairs
from methods.parts.executors.single_path import single_path
from methods.parts.executors.unchosen_gates import with_unchosen_gates
from methods.parts.gates import Gates
from methods.parts.schedule import linear
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.cell.frame import candidate
from methods.spaces.cell.supernet import derive_pairs
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import OPERATIONS
from tests.methods.small_searches import SMALL, batch, begun


def search(**options: Any) -> GDAS:
    made: GDAS = begun(GDAS, **options)
    return made


def bits(method: GDAS) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.supernet.state_dict().items()}


def test_the_defaults_are_the_released_settings() -> None:
    """AutoDL-Projects, configs/search-opts/GDAS-NASNet-CIFAR.config and its script."""
    o = GDASOptions()
    assert (o.epochs, o.batch_size, o.channels, o.cells) == (250, 256, 16, 6)
    assert (o.lr, o.lr_end, o.momentum, o.nesterov, o.weight_decay, o.clip) == (0.025, 0.001, 0.9, True, 5e-4, 5)
    assert (o.arch_lr, o.arch_betas, o.arch_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert (o.temperature, o.temperature_end, o.derive) == (10, 0.1, "pairs")


def test_the_temperature_falls_in_equal_steps() -> None:
    assert [linear(epoch, 4, 10, 1) for epoch in range(4)] == [10, 7, 4, 1]
    assert linear(0, 1, 10, 1) == 10
    method = search(temperature=10.0, temperature_end=1.0)
    method.on_epoch_start(2)
    assert method.on_epoch_end(2)["paths/temperature"] == method.sampler.temperature == 4


def test_weights_off_the_path_keep_their_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decay and momentum included, in later steps too, when there is a momentum."""
    method, paths = search(weight_decay=0.1), []
    monkeypatch.setattr(method.counts, "add", paths.append)
    for number in range(3):
        before = bits(method)
        method.step(batch(number), batch(number + 10))
        seen = set()
        for name, parameter in method.supernet.named_parameters():
            if ".options." not in name:
                continue
            parts = name.split(".")
            row = TOPOLOGY.leaving(int(parts[3]))[int(parts[5])]
            chosen = paths[-1][method.supernet.cells[int(parts[1])].kind][row] == int(parts[7])
            assert torch.equal(parameter, before[name]) == (not chosen), name
            seen.add(chosen)
        assert seen == {True, False}


def test_each_step_changes_only_its_own_parameters() -> None:
    method = search()
    alphas = {f"parameterisation.{name}" for name, _ in method.parameterisation.named_parameters()}

    def changed(step) -> set[str]:
        before = bits(method)
        step()
        return {name for name, value in bits(method).items() if not torch.equal(value, before[name])}

    assert changed(lambda: method._architecture_step(batch())) == alphas
    assert not changed(lambda: method._weight_step(batch())) & alphas


def test_what_was_run_is_counted() -> None:
    method = search()
    for number in range(5):
        method.step(batch(number), batch(number + 10))
    values = method.on_epoch_end(0)
    edges, candidates = len(TOPOLOGY.edges), len(OPERATIONS)
    assert values["paths/updates_mean"] == pytest.approx(5 / candidates)
    assert all(sum(map(sum, each)) == 5 * edges for each in method.counts.updates.values())
    drawn = {name: value for name, value in values.items() if name.startswith("paths/drawn/")}
    assert sum(drawn.values()) == pytest.approx(1)
    assert values["paths/zeros"] == drawn["paths/drawn/none"]
    assert len(values["arch/entropies_normal"]) == edges
    assert sum(values["arch/entropies_normal"]) / edges == pytest.approx(values["arch/entropy_normal"], rel=1e-5)
    method.on_epoch_start(1)
    assert method.on_epoch_end(1)["paths/skips"] == 0  # of this epoch, which drew nothing


# -- derivation


def known_gates() -> Gates:
    """Node 2 reads input 0 twice by pairs; every later node its two last predecessors."""
    options = torch.full((14, 8), 0.01)
    options[0, [3, 4]] = torch.tensor([0.5, 0.4])  # edge (0, 2)
    options[1, 5] = 0.3  # edge (1, 2)
    for node in TOPOLOGY.node_numbers[1:]:
        for row in TOPOLOGY.entering(node)[-2:]:
            options[row, node + 1] = 0.6
    options[:, 0] = 0.9  # none, never chosen
    return Gates(options, torch.ones(14))


def test_a_known_tensor_gives_the_known_cell_under_both_rules() -> None:
    rest = [[OPERATIONS[node + 1], source, node] for node in (3, 4, 5) for source in (node - 2, node - 1)]
    pairs = [[OPERATIONS[3], 0, 2], [OPERATIONS[4], 0, 2], *rest]
    edges = [[OPERATIONS[3], 0, 2], [OPERATIONS[5], 1, 2], *rest]
    assert top_two_pairs(known_gates(), TOPOLOGY)["edges"] == pairs
    assert top_two_edges(known_gates(), TOPOLOGY)["edges"] == edges


def test_two_operations_of_one_edge_are_a_general_cell_with_darts_conventions() -> None:
    plain = torch.full((14, 8), 0.01)
    plain[:, 2] = torch.linspace(0.2, 0.3, 14)
    one = Gates(plain, torch.ones(14))
    found = derive_pairs({"normal": one, "reduce": one})
    assert found.space == "darts_cell"
    found = derive_pairs({"normal": one, "reduce": known_gates()})
    assert found.space == "general_cell"
    assert found.genotype["conventions"] == get_space("general_cell").conventions.to_json()
    get_space("general_cell").validate(found)
    build(found, 10, NetworkSettings(4, 3))(torch.zeros(1, 3, 8, 8))


# -- the fixed reduction cell


def test_with_a_fixed_reduction_cell_only_the_normal_cell_is_searched() -> None:
    method = search(reduction="fixed", derive="edges")
    assert [tuple(alpha.shape) for alpha in method.alphas] == [(14, 8)]
    sums = method.step(batch(), batch(1))
    assert int(sums["valid_count"]) == 4
    found = method.architecture()
    frc = published("GDAS_FRC").genotype
    assert found.space == "general_cell"
    assert found.genotype["reduce"] == frc["reduce"]
    assert found.genotype["conventions"] == frc["conventions"]
    get_space("general_cell").validate(found)
    assert "arch/skips" in method.on_epoch_end(0)


def test_its_forward_is_the_network_of_the_sampled_cell_and_the_fixed_one() -> None:
    method = search(reduction="fixed")
    net = method.supernet.train()
    (path,) = method.draw()
    while OPERATIONS.index("none") in path["normal"].chosen:  # a genotype has no such edge
        (path,) = method.draw()
    normal = [[OPERATIONS[column], *edge] for column, edge in zip(path["normal"].chosen, TOPOLOGY.edges, strict=True)]
    frc = published("GDAS_FRC").genotype
    conventions = {**frc["conventions"], "pool_norm": "without_affine", "affine": False}
    genotype = {
        "normal": {"edges": normal, "concat": [2, 3, 4, 5]},
        "reduce": frc["reduce"],
        "conventions": conventions,
    }
    network = build(type(method.architecture())("general_cell", genotype), 10, NetworkSettings(4, 3)).train()
    own = {}
    for name, tensor in net.state_dict().items():
        parts = name.split(".")
        if "options" in parts:
            row = TOPOLOGY.leaving(int(parts[3]))[int(parts[5])]
            if path["normal"].chosen[row] == int(parts[7]):
                own[".".join([*parts[:2], "operations", str(row), *parts[8:]])] = tensor
        elif not name.startswith("parameterisation."):
            own[name] = tensor
    network.load_state_dict(own)
    images = in_memory_format(batch()[0])
    assert torch.equal(net(images, path), network(images))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduction": "fixed", "channels": 6}, "multiple of 8"),
        ({"reduction": "fixed", "space": "nasbench201", "cells": 6}, "darts_cell"),
        ({"derive": "edges", "space": "nasbench201", "cells": 6}, "darts_cell"),
        ({"temperature": 0.0}, "temperature"),
        ({"space": "nasbench201", "cells": 8}, "leave cells at 6"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words: str) -> None:
    with pytest.raises(MethodError, match=words):
        GDASOptions(**{**SMALL, **options})


# -- as released for NAS-Bench-201


def test_the_gates_of_what_was_not_chosen_can_be_added() -> None:
    """Nothing changes but their gradients, which are sums of the output's."""
    torch.manual_seed(2)
    make = single_path(OPERATIONS, candidate)
    plain, added = make(4, 2, 1), with_unchosen_gates(make)(4, 2, 1)
    added.executor.load_state_dict(plain.state_dict())
    x, upstream = torch.randn(2, 4, 6, 6), [torch.randn(2, 4, 6, 6) for _ in range(2)]
    gradients = []
    for executor in (plain, added):
        hard = torch.zeros(2, 8)
        hard[0, 4] = hard[1, 7] = 1.0
        gates = Gates(hard.requires_grad_(), torch.ones(2), (4, 7))
        sent = executor(x, gates)
        loss = sum((each * weight).sum() for each, weight in zip(sent, upstream, strict=True))
        gradients.append((loss, torch.autograd.grad(loss, hard)[0]))
    assert torch.equal(gradients[0][0], gradients[1][0])
    wanted = gradients[0][1].clone()
    assert not wanted[0, :4].any()
    for row, chosen in enumerate((4, 7)):
        others = [column for column in range(8) if column != chosen]
        wanted[row, others] = upstream[row].sum()
    torch.testing.assert_close(gradients[1][1], wanted)
    assert search(space="nasbench201", cells=6, cells_per_stage=1, add_unchosen_gates=True).step(batch(), batch(1))
