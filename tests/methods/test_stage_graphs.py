"""Stages as graphs of cells (Hs-DAS): the network, its counts, the supernet, and what is derived from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.gradient.hdas.distribution import DistributionOptions, HsDASDistribution
from methods.gradient.hdas.stages import HsDAS, HsDASOptions
from methods.parts.counts import count_macs, count_params
from methods.parts.gates import Gates
from methods.spaces import NetworkSettings, get_space
from methods.spaces.decisions import size
from methods.spaces.stages.graph import KINDS, mean_paths, stage_topology, validate_graphs
from methods.spaces.stages.network import Stage
from methods.spaces.stages.supernet import ENDS
from tests.contracts.tiny import CONTEXT
from tests.oracles import stage_graph as oracle

TINY = {"epochs": 2, "channels": 4, "batch_size": 4}
SKIP, NONE = 2, 3
"""Columns of the gates."""


def search(cls: Any = HsDAS, options: Any = HsDASOptions, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return cls(options(**{**TINY, "cells": 11, **more}), CONTEXT)


def images(seed: int = 0) -> Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def gates_of(topology: Any, seed: int) -> dict[str, Gates]:
    generator = torch.Generator().manual_seed(seed)
    _, edges, columns = topology.shape
    return {k: Gates(torch.rand(edges, columns, generator=generator), torch.ones(edges)) for k in KINDS}


def one_hot(topology: Any, column: Any) -> Gates:
    """Gates with one operation on each edge: `column(source, node)`."""
    columns = torch.tensor([column(*edge) for edge in topology.edges])
    return Gates(F.one_hot(columns, 4).float(), torch.ones(len(columns)))


@pytest.mark.parametrize(("channels", "params"), [(36, 4_401_298), (32, 3_499_338), (31, 3_289_978)])
def test_the_published_stages_count_as_read_from_the_figure(channels: int, params: int) -> None:
    """With the cells of DARTS_V2: 4.40, 3.50 and 3.29 M, without auxiliary head."""
    found = published("HsDAS_cifar10")
    space = get_space(found.space)
    assert space.counts(found, 10, NetworkSettings(channels)).params == params
    with torch.device("meta"):
        assert count_params(space.build(found, 10, NetworkSettings(channels))) == params
    assert [mean_paths(graph)[-1] for graph in found.genotype["stages"]] == [3.0625, 3.0, 3.25]


def test_counts_in_closed_form_are_the_counters() -> None:
    space: Any = get_space("stage_graph_xs").resting_on([published("PDARTS")])  # type: ignore[attr-defined]
    found = space.sample(torch.Generator().manual_seed(0))
    for stem, side in (("cifar", 32), ("imagenet", 64)):
        settings = NetworkSettings(4, auxiliary=stem == "cifar", stem=stem)
        with torch.device("meta"):
            network = space.build(found, 7, settings)
        counts = space.counts(found, 7, settings, side)
        assert counts.params == count_params(network)
        assert counts.params_training == count_params(network, auxiliary=True)
        assert counts.macs == count_macs(network, (3, side, side))


def test_codes_stand_for_the_graphs_alone() -> None:
    space: Any = get_space("stage_graph")
    assert size(space) == (9 * 27**5) ** 3
    other = space.resting_on([published("PDARTS")])
    found = other.sample(torch.Generator().manual_seed(1))
    assert other.encode(found) == space.encode(replace(found, genotype={**found.genotype, **space.made_of}))
    with pytest.raises(ArchitectureError, match="made of other cells"):
        space.encode(found)
    with pytest.raises(ArchitectureError, match="stage1 has 3 cells, not 6"):
        space.encode(get_space("stage_graph_xs").sample(torch.Generator()))


def test_a_cell_reads_two_of_the_last_three_states() -> None:
    found = get_space("stage_graph").reference()
    graphs = [dict(graph) for graph in found.genotype["stages"]]
    others = [edge for edge in graphs[1]["edges"] if edge[2] != 5]
    graphs[1]["edges"] = [*others, ["skip_connect", 1, 5], ["skip_connect", 4, 5]]
    with pytest.raises(ArchitectureError, match=r"'stage2': node 5 reads the states \[1, 4\]"):
        validate_graphs({**found.genotype, "stages": graphs})
    with pytest.raises(ArchitectureError, match="'stage1' has no edges"):
        validate_graphs({**found.genotype, "stages": [{"edges": [], "concat": [0, 1]}] * 3})
    with pytest.raises(ArchitectureError, match="a list of 3 graphs"):
        validate_graphs({**found.genotype, "stages": graphs[:2]})
    with pytest.raises(ArchitectureError, match="20 cells with the reductions, the scale says 19"):
        get_space("stage_graph").validate(replace(found, scale={"channels": 4, "cells": 19}))


def test_one_hot_chain_edges_give_the_stack_of_cells_to_the_bit() -> None:
    method = search()
    chain = one_hot(method.topology, lambda source, node: SKIP if source == node - 1 else NONE)
    found = method.supernet(images(), dict.fromkeys(KINDS, chain))
    expected = oracle.network(method.supernet, images(), lambda stage, x, _: oracle.chain(stage, x))
    assert found.shape == (4, 10)
    torch.testing.assert_close(found, expected)
    x = torch.randn(4, method.supernet.stages[0].preprocess0[1].in_channels, 8, 8)
    stage = method.supernet.stages[0]
    assert torch.equal(stage(x, (chain, None)), oracle.chain(stage, x))


def test_the_mixture_is_the_textbooks_in_values_and_gradients() -> None:
    method = search()
    gates = method.supernet.gates()
    found = F.cross_entropy(method.supernet(images()), torch.arange(4))
    plain = oracle.network(
        method.supernet,
        images(),
        lambda stage, x, n: torch.cat(oracle.mixed(stage, x, gates[KINDS[n]].options)[-2:], dim=1),
    )
    expected = F.cross_entropy(plain, torch.arange(4))
    torch.testing.assert_close(found, expected)
    parameters = [*method.alphas, *method.weights]
    pairs = zip(*(torch.autograd.grad(loss, parameters) for loss in (found, expected)), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)


def test_a_derived_stage_is_the_supernets_at_its_own_gates() -> None:
    method = search()
    gates = gates_of(method.topology, 3)
    hard = method.relaxation.hard(gates)
    derived = method.relaxation.derive(gates)
    space: Any = get_space("stage_graph_xs")
    network = space.build(derived, 10, NetworkSettings(4, in_channels=1))
    for ours, theirs, kind in zip(network.stages, method.supernet.stages, KINDS, strict=True):
        assert isinstance(ours, Stage)
        own = ours.state_dict()
        state = {name: value for name, value in theirs.state_dict().items() if name in own}
        ours.load_state_dict(own | state)
        x = torch.randn(4, ours.preprocess0[1].in_channels, 8, 8)
        torch.testing.assert_close(ours(x, None), theirs(x, (hard[kind], None)), rtol=1e-4, atol=1e-5)


def test_a_shift_of_all_operations_of_an_edge_is_nothing_to_the_task_or_to_the_depth() -> None:
    method = search()
    loss = F.cross_entropy(method.supernet(images()), torch.arange(4))
    for which in (loss, method.structural_loss()):
        for gradient in torch.autograd.grad(which, method.alphas):
            assert gradient.abs().max() > 1e-5
            assert gradient.sum(dim=-1).abs().max() < 1e-6
    released = search(as_released=True)
    shifts = [gradient.sum(dim=-1) for gradient in torch.autograd.grad(released.structural_loss(), released.alphas)]
    assert min(float(each.abs().min()) for each in shifts) > 1e-3


def test_as_released_edges_are_compared_by_raw_parameters() -> None:
    ours, released = search(seed=4), search(seed=4, as_released=True)
    before = ours.architecture()
    row = ours.topology.edges.index((1, 4))  # the farthest of three
    for method in (ours, released):
        method.parameterisation.alpha["stage1"].data[row] += 5.0
    assert ours.architecture() == before
    assert 1 in [source for _, source, node in released.architecture().genotype["stages"][0]["edges"] if node == 4]


def test_the_number_of_cells_is_four_to_eight_and_an_end_is_that_of_a_shorter_stage() -> None:
    method = search(HsDASDistribution, DistributionOptions, cells=26)
    lengths = []
    for end in range(5):
        ends = Gates(F.one_hot(torch.tensor([end]), 5).float(), torch.ones(1))
        gates = gates_of(method.topology, end) | dict.fromkeys(ENDS.values(), ends)
        found = method.relaxation.derive(gates)
        get_space("stage_graph").validate(found)
        lengths.append({len(mean_paths(graph)) for graph in found.genotype["stages"]})
        stage = method.supernet.stages[0]
        x = torch.randn(2, stage.preprocess0[1].in_channels, 4, 4)
        states = oracle.mixed(stage, x, gates["stage1"].options)
        expected = torch.cat(states[4 + end : 6 + end], dim=1)
        torch.testing.assert_close(stage(x, (gates["stage1"], ends)), expected, rtol=1e-3, atol=1e-4)
    assert lengths == [{4}, {5}, {6}, {7}, {8}]


def test_sizes_that_are_no_three_equal_stages_are_refused() -> None:
    for options in ({"cells": 12}, {"cells": 5}, {"cell": "nothing"}, {"cell": "MG_DARTS"}):
        with pytest.raises(ValueError, match=r"cells=|cell is"):
            HsDASOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions=5 leaves a stage of 3 cells"):
        DistributionOptions(cells=11)


def test_the_topology_reads_the_last_three_states() -> None:
    edges = stage_topology(4).edges
    assert edges == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4), (2, 5), (3, 5), (4, 5))


def test_drop_path_and_auxiliary_head_train() -> None:
    space: Any = get_space("stage_graph_xs")
    found: Architecture = space.sample(torch.Generator().manual_seed(2))
    network = space.build(found, 10, NetworkSettings(4, auxiliary=True))
    network.set_drop_path(0.3)
    logits, auxiliary = network(torch.randn(2, 3, 32, 32))
    (logits.sum() + auxiliary.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 10)
