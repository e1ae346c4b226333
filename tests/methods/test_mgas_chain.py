"""MGAS in chains: against the textbook, the guard, narrowing, the way to an architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from methods.base import SearchContext
from methods.form import ArchitectureError
from methods.gradient.mgas.chains.export import counts, export
from methods.gradient.mgas.chains.narrow import narrow, plan_narrowing, whole
from methods.gradient.mgas.chains.supernet import ChainSupernet
from methods.gradient.mgas.chains.topology import ChainPlan
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.losses import l_cost, l_thre, operation_costs
from methods.gradient.mgas.pruning import removable, spare_last
from methods.gradient.mgas.regrow import importance
from methods.gradient.mgas.switches import FIXED
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.spaces import NetworkSettings, build, get_space
from tests.methods.mgas_nets import scatter_parameters
from tests.oracles import mgas_chain as oracle

TINY = SearchContext(num_classes=4, in_channels=1, image_size=16)
STAGES = [(12, 1, 1), (16, 2, 2), (32, 2, 2), (48, 1, 1)]
"""Of chain_xs."""
MAY_BE_EMPTY = (2, 4)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def chain_net(**how: Any) -> ChainSupernet:
    torch.manual_seed(0)
    return ChainSupernet(ChainPlan("chain_xs"), TINY, FIXED, Discretisation(**how))


def thinned(scatter: bool = True) -> ChainSupernet:
    """One with removed blocks at every place, all of them at place 4, and units on, off and removed in the others."""
    net = chain_net()
    for index, left in enumerate(((0, 3), (5,), (1, 2, 4), (0, 1), (), (3, 4))):
        net.cell(index).commit_operations([(0, op) for op in range(6) if op not in left])
    if scatter:
        scatter_parameters(net)
    return net


def images(seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 1, 16, 16, generator=generator), torch.randint(0, 4, (4,), generator=generator)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_logits_and_gradients_are_those_of_the_textbook_network(stage: int) -> None:
    net = thinned()
    net.stage = stage
    x, y = images()
    expected = oracle.logits(net, x, STAGES, (0, 2, 5)[stage])
    F.cross_entropy(expected, y).backward()
    wanted = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad()
    net.train()
    found = net(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    F.cross_entropy(found, y).backward()
    seen = 0
    for name, parameter in net.named_parameters():
        gradient, reference = parameter.grad, wanted[name]
        if gradient is None or reference is None:
            assert gradient is reference or float((gradient if reference is None else reference).abs().max()) == 0, name
            continue
        seen += name.startswith("cells.")
        scale = max(float(reference.abs().max()), 1e-3)
        torch.testing.assert_close(gradient / scale, reference / scale, atol=2e-3, rtol=0, msg=lambda m, n=name: n + m)
    assert seen > (10, 30, 60)[stage]


def test_units_and_losses_in_the_beginning() -> None:
    net = chain_net()
    net(images()[0])
    places = net.executed()
    filters = sum(place.filters.first for place in places)
    assert filters == 27 * (8 + 12 + 16 + 16 + 32 + 32)  # three kernels of expansions 3 and 6
    assert sum(place.alpha.numel() for place in places) == 36
    assert l_thre(places).item() == 6 * 18
    cost = l_cost(net.operation_gates, net.operation_masks, net.nodes)
    assert cost.item() == pytest.approx(36 * torch.tensor(2.0).log().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("space", "ends"), [("chain_xs", (0, 2, 5)), ("chain_s", (2, 5, 10)), ("chain_imagenet", (7, 15, 20))]
)
def test_stages_end_where_the_chains_do(space: str, ends: tuple[int, int, int]) -> None:
    plan = ChainPlan(space)
    assert plan.stage_ends == ends
    stages = [place.stage for place in plan.places]
    assert all(stages[end] != stages[end + 1] for end in ends[:2])


@pytest.mark.parametrize("guard", ["strongest", "last"])
def test_the_guard_holds_where_a_place_cannot_be_empty(guard: str) -> None:
    net = chain_net(guard=guard)
    with torch.no_grad():
        for place in net.executed():
            place.t_operation.fill_(2.0)
            place.alpha[0, 4] = 1.0
    net.train()
    x = images()[0]
    assert torch.isfinite(net(x)).all()
    on = [place.operation_now.nonzero()[:, 1].tolist() for place in net.executed()]
    kept = [4 if guard == "strongest" else 5]
    assert on == [[] if index in MAY_BE_EMPTY else kept for index in range(6)]
    net(x).sum().backward()
    for index, place in enumerate(net.executed()):
        assert torch.isfinite(place.alpha.grad).all()
        assert float(place.t_operation.grad[0, kept[0]].abs()) == 0 or index in MAY_BE_EMPTY


def test_a_commit_may_empty_a_place_and_only_where_it_can_be() -> None:
    net = chain_net()
    places = net.executed()
    everything = [(place.index, slot) for place in places for slot in place.slots]
    gone = spare_last(places, everything)
    left = [6 - sum(index == place.index for index, _ in gone) for place in places]
    assert left == [0 if index in MAY_BE_EMPTY else 1 for index in range(6)]
    assert len(removable(places)) == 4 * 5 + 2 * 6
    with torch.no_grad():
        for index in (0, 2):
            place = net.cell(index)
            place.commit_operations([(0, op) for op in range(1, 6)])
            place.filter_now.fill_(False)
            assert place.commit_units() == ({(0, 0)} if index in MAY_BE_EMPTY else set())
    assert net.cell(0).filters.mask.all()  # the last block of a place keeps its channels
    net.cell(2).commit_operations([(0, 0)])
    assert torch.isfinite(net(images()[0])).all()
    assert net.cell(2).commit_units() == set()
    assert net.cell(2).failing() == []


def test_narrowing_keeps_the_function_and_momentum_follows() -> None:
    net = thinned()
    net.train()
    x = images()[0]
    before = net(x).detach()
    momentum = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    wide = count_params(net)
    narrow(net, plan_narrowing(net, FIXED, range(6), {5}), momentum)
    torch.testing.assert_close(net(x), before, atol=1e-5, rtol=1e-5)
    assert count_params(net) < wide
    for name, parameter in net.named_parameters():
        assert torch.equal(momentum[name], parameter), name
    assert all(bool(place.filters.mask.all()) for place in net.executed())


def test_the_architecture_has_the_masks_and_counts_of_the_supernet() -> None:
    net = thinned()
    with torch.no_grad():
        net.cell(3).block((0, 0)).norm2.mask.fill_(False)  # as `empty_operation: keep` lets it
    narrowed = export(net, plan_narrowing(net, FIXED, range(6), ()))
    assert narrowed.genotype == {"chain": "k3e3+k5e6 | k7e6 k3e6+k5e3+k7e3 | k3e3+k3e6 zero | k5e6+k7e3"}
    assert narrowed.widths["slots.3.0.inner"] == 1
    assert narrowed.space == "dense_chain_xs"
    network = build(narrowed, 4, NetworkSettings(in_channels=1))
    found = counts(narrowed, TINY)
    assert found["params"] == count_params(network)
    assert found["params_nonzero"] == count_nonzero(network, narrowed.masks)
    assert found["macs"] == count_macs(network, (1, 16, 16))
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    assert all(mask.shape == shapes[name] for name, mask in narrowed.masks.items())
    committed = sum(int(mask.sum()) for p in net.executed() for s in p.slots for mask in p.block(s).effective_masks())
    weights = [name for name in shapes if ".blocks." in name and len(shapes[name]) == 4]
    kept = sum(int(narrowed.masks[name].sum()) if name in narrowed.masks else shapes[name].numel() for name in weights)
    assert kept == committed
    dense = export(net, whole(net), dropped={0: {(0, 3)}}, with_masks=False)
    assert dense.genotype["chain"].startswith("k3e3 | ")
    assert not dense.masks
    assert not dense.widths


def test_costs_and_their_gradients_are_summed_channel_by_channel() -> None:
    net = thinned()
    net.train()
    for place in net.executed():
        place.keep_units = True
    net(images()[0])
    found = operation_costs(net.executed())
    expected = torch.stack([oracle.block_cost(place, op) for place in net.executed() for op in range(6)]).view(6, 1, 6)
    torch.testing.assert_close(found, expected)
    for name in ("t_filter", "t_weight"):
        for place in (net.cell(0), net.cell(2)):
            parameter = getattr(place, name)
            (left,) = torch.autograd.grad(1e6 * found.sum(), parameter, retain_graph=True)
            (right,) = torch.autograd.grad(1e6 * expected.sum(), parameter, retain_graph=True)
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-3)
            assert float(left.abs().sum()) > 0


def test_an_empty_place_may_be_given_a_block_again() -> None:
    net = thinned(scatter=False)
    committed = net.committed(net.executed())
    shares = importance(net.gates(net.executed()).detach(), torch.zeros(6, 1, 6), committed)
    assert torch.isfinite(shares).all()
    assert float(shares.sum()) == pytest.approx(1.0)
    assert float(shares[4].sum()) > 0
    assert float(l_cost(net.gates(net.executed()), committed.float(), net.nodes).detach()) < 36
    place = net.cell(4)
    place.revive((0, 2), torch.Generator().manual_seed(0))
    place.rebuild()
    assert place.block((0, 2)).inner == 3 * 32
    assert net.operation_names().count("zero") == 0


def test_a_chain_for_other_images_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="stem"):
        ChainSupernet(ChainPlan("chain_imagenet"), TINY, FIXED, Discretisation())


def test_what_is_found_is_of_the_dense_space() -> None:
    space = get_space("dense_chain_xs")
    space.validate(export(thinned(), whole(thinned())))
