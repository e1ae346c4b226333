"""Narrowing: the table of widths, the function it keeps or loses, and momentum."""

from __future__ import annotations

import pytest
import torch

from methods.gradient.mgas.cells.export import export, whole
from methods.gradient.mgas.cells.narrow import common_width, even, plan_narrowing
from methods.gradient.mgas.cells.sizes import counts, effective_masks
from methods.gradient.mgas.cells.slicing import cuts, narrow
from methods.gradient.mgas.cuts import take
from methods.gradient.mgas.optimizers import Optimizers
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.switches import FIXED, OFFICIAL, Switches, resolve_switches
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.spaces import NetworkSettings, build
from tests.methods.mgas_nets import TINY, images, remove_at_random, scatter_parameters, tiny_net
from tests.oracles.mgas_narrowing import released

LOSSLESS = Switches(width_rule="lossless")


@pytest.mark.parametrize(
    ("kept", "initial", "width"),
    [
        ([16] * 6, 16, 16),
        ([12, 12, 12, 12, 12, 14], 16, 12),  # mean 12.33
        ([14, 14, 12, 12, 14, 12], 16, 14),  # mean 13: the next even number
        ([4, 4, 4, 4, 4, 10], 16, 10),  # mean 5 is below the floor of 8, the maximum is not
        ([4, 4, 4, 4, 4, 6], 16, 8),  # neither: the floor
        ([2] * 6, 4, 2),
    ],
)
def test_common_width(kept: list[int], initial: int, width: int):
    assert common_width(kept, initial) == width


@pytest.mark.parametrize(("number", "result"), [(0, 2), (1, 2), (2, 2), (3, 4), (10, 10)])
def test_even(number: int, result: int):
    assert even(number) == result


def prune_filters(net, share: float, seed: int = 5) -> None:
    generator = torch.Generator().manual_seed(seed)
    for cell in net.executed(2):
        for norm in cell.filters.norms:
            norm.mask.copy_(torch.rand(norm.mask.shape, generator=generator) >= share)
        cell.rebuild()


@pytest.mark.parametrize("share", [0.24, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("switches", [FIXED, OFFICIAL], ids=["fixed", "official"])
def test_widths_of_a_randomly_pruned_net(share: float, switches: Switches):
    """The measured examples: 76 / 51 / 27 / 11 % of the filters of C = 16 cells give 14 / 10-12 / 8-10 / 8."""
    net = tiny_net(channels=16, switches=switches)
    prune_filters(net, share)
    plans = plan_narrowing(net, switches, range(3), {2})
    first = plans[0].widths
    allowed = {0.24: {14, 16}, 0.5: {10, 12}, 0.75: {8, 10}, 0.9: {8}}[share]
    assert len(set(first)) == 1
    assert first[0] in allowed
    assert plans[2].widths == (64,) * 6  # the last cell feeds the classifier
    for plan in plans:
        for channels in plan.operations.values():
            assert all(len(c) % 2 == 0 for c in channels)
            assert len(channels) < 3 or len(channels[1]) >= plan.widths[0]


@pytest.mark.parametrize("switches", [FIXED, OFFICIAL, LOSSLESS], ids=["fixed", "official", "lossless"])
def test_full_masks_change_nothing_to_the_bit(switches: Switches):
    net = tiny_net(switches=switches)
    net.train()
    x, _ = images()
    before = net(x)
    tensors = dict(net.named_parameters())
    narrow(net, plan_narrowing(net, switches, range(3), {2}))
    assert torch.equal(net(x), before)
    assert all(p is tensors[name] for name, p in net.named_parameters())


def official_example(channels: int = 8):
    """A net in the middle of a search: operations gone, filters and weights off, gates and normalisations trained."""
    net = tiny_net(channels=channels, switches=OFFICIAL)
    remove_at_random(net, 0.5)
    scatter_parameters(net)
    prune_filters(net, 0.45)
    with torch.no_grad():
        for cell in net.executed(2):
            for norm in cell.filters.norms:
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2.0)
    return net


@pytest.mark.parametrize(("cells", "pinned"), [(range(3), 2), (range(2), 1)])
def test_official_narrowing_is_the_released_one_in_every_tensor(cells: range, pinned: int):
    """The last cell starts anew, too, and second halves of stride-2 layers look their gates up in the first."""
    net = official_example()
    expected = released(net, cells, pinned)
    narrow(net, plan_narrowing(net, OFFICIAL, cells, {pinned, 2}))
    found = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    assert len(expected) > 300
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_the_two_switches_of_official_narrowing_matter():
    """What `official` did before it had them: the last cell kept its masks, second halves their own gates."""
    kept = {}
    for changes in ({}, {"restart": "narrowed"}, {"skip_halves": "own"}):
        switches = resolve_switches("official", changes)
        net = official_example()
        before = net.cell(2).filters.mask.sum().item()
        narrow(net, plan_narrowing(net, switches, range(3), {2}))
        filters = net.cell(2).filters
        kept[str(changes)] = (int(filters.mask.sum()), len(filters.mask), before)
        if changes == {"skip_halves": "own"}:
            own = net
        elif not changes:
            first = net
    assert kept["{}"][0] == kept["{}"][1]
    assert kept["{'restart': 'narrowed'}"][0] == kept["{}"][2] < kept["{}"][1]
    pairs = zip(first.named_parameters(), own.named_parameters(), strict=True)
    different = {name.split(".")[0] + name[name.rindex(".") :] for (name, a), (_, b) in pairs if not torch.equal(a, b)}
    assert different == {"cells.kappa", "cells.weight"}


def silence_channels(net, channels: dict[int, list[int]]) -> None:
    """Switch the same channels off in all states of a cell."""
    for index, dead in channels.items():
        cell = net.cell(index)
        for norm in cell.filters.norms:
            norm.mask[dead] = False
        cell.rebuild()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["fixed", "lossless", "official"])
def test_function_is_kept_by_aligned_narrowing_only(name: str, training: bool):
    switches = {"fixed": FIXED, "lossless": LOSSLESS, "official": OFFICIAL}[name]
    net = tiny_net(channels=8, switches=switches)
    remove_at_random(net, 0.5)
    scatter_parameters(net, committed=False)
    with torch.no_grad():
        for cell in net.executed(2):
            cell.t_filter.zero_()
            cell.t_input.zero_()
    net.train()
    net(images(8)[0])  # running statistics
    silence_channels(net, {0: [1, 3, 6], 1: [0, 2, 5, 9, 10, 11]})
    net.train(training)
    x, _ = images(8, seed=9)
    with torch.no_grad():
        before = net(x)
        narrow(net, plan_narrowing(net, switches, range(3), {2}))
        after = net(x)
    expected = (5, 10) if name == "lossless" else (6, 10)
    assert net.cell(1).state_widths[0] == 10
    assert net.cell(0).state_widths[0] in (6, *expected)
    difference = float((after - before).abs().max())
    if name == "official":
        assert difference > 1e-2
    else:
        assert difference < 1e-5


def test_lossless_narrowing_keeps_the_function_under_any_masks():
    net = tiny_net(channels=8, switches=LOSSLESS)
    remove_at_random(net, 0.7)
    scatter_parameters(net, committed=False)
    prune_filters(net, 0.8)
    net.train()
    x, _ = images(8)
    count = sum(p.numel() for p in net.cells.parameters())
    with torch.no_grad():
        before = net(x)
        narrow(net, plan_narrowing(net, LOSSLESS, range(3), {2}))
        torch.testing.assert_close(net(x), before, atol=1e-5, rtol=1e-5)
    assert (
        sum(p.numel() for p in net.cells.parameters()) < 0.95 * count
    )  # inside separable convolutions, if nowhere else


@pytest.mark.parametrize("switches", [FIXED, OFFICIAL, LOSSLESS], ids=["fixed", "official", "lossless"])
def test_export_after_a_plan_equals_export_after_narrowing(switches: Switches):
    net = tiny_net(channels=8, switches=switches)
    remove_at_random(net, 0.6)
    scatter_parameters(net)
    dropped = {0: {net.cell(0).slots[-1]}}
    plans = plan_narrowing(net, switches, range(3), {2}, dropped)
    planned = export(net, plans, dropped)
    net.cell(0).commit_operations(dropped[0])
    narrow(net, plans)
    narrowed = export(net, whole(net))
    assert narrowed.genotype == planned.genotype
    assert narrowed.widths == planned.widths
    network = build(narrowed, TINY.num_classes, NetworkSettings(in_channels=1))
    found = counts(narrowed, TINY)
    assert found["params"] == count_params(network)
    assert found["params_nonzero"] == count_nonzero(network, narrowed.masks)
    assert found["macs"] == count_macs(network, (1, 8, 8))
    if switches is not OFFICIAL:  # the released code switches removed filters on again
        assert narrowed == planned
        assert found["params_nonzero"] < found["params"]
    net.train()
    assert net(images()[0]).isfinite().all()


def test_momentum_follows_the_narrowing():
    net = tiny_net(channels=8)
    scatter_parameters(net)
    optimizers = Optimizers(net, MGASOptions(channels=8, cells=3))
    momentum = optimizers.momentum()
    parameters = dict(net.named_parameters())
    for name, buffer in momentum.items():
        buffer.copy_(parameters[name])  # momentum that can be told by its parameter
    prune_filters(net, 0.5)
    narrow(net, plan_narrowing(net, FIXED, range(3), {2}), momentum)
    renewed = Optimizers(net, MGASOptions(channels=8, cells=3), momentum).momentum()
    parameters = dict(net.named_parameters())
    assert all(torch.equal(buffer, parameters[name]) for name, buffer in renewed.items())
    assert net.cell(0).state_widths[0] < 8


def test_masks_follow_removed_filters():
    net = tiny_net()
    operation = net.cell(0).operation((0, 1))
    operation.norms[0].mask[1] = False  # inside
    operation.norms[1].mask[2] = False  # out
    operation.convs[1].mask[0, 3] = False
    first, into, second, out = effective_masks(operation)
    assert first.all()
    assert [tuple(i[:2]) for i in (~into).nonzero().tolist()] == [(0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert set((~second).nonzero()[:, 0].tolist()) == {1}
    assert [tuple(i[:2]) for i in (~out).nonzero().tolist()] == [(0, 1), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3), (3, 1)]


def test_take_cuts_every_dimension_of_a_tensor():
    tensor = torch.arange(12).view(3, 4)
    assert take(tensor, ((0, torch.tensor([0, 2])), (1, torch.tensor([1])))).tolist() == [[1], [9]]


def test_every_cut_names_a_tensor():
    net = tiny_net()
    names = {name for name, _ in [*net.named_parameters(), *net.named_buffers()]}
    assert set(cuts(net, whole(net))) <= names
