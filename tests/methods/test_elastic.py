"""Elastic networks: one set of weights, sliced, masked and built; and what its widths are expected to cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import ArchitectureError
from methods.parts.costs.widths import Factor, Layers, counted, expected_macs
from methods.parts.elastic_layers import Width, convolve
from methods.parts.pixels import sample, scatter
from methods.parts.recalibration import recalibrate
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.elastic import ElasticNetwork
from methods.spaces.width_space import elastic_of
from methods.spaces.widths import Grid
from tests.oracles import masked_widths as oracle

SETTINGS = NetworkSettings(in_channels=2)
SMALL = {
    "chain_xs_widths": Grid(
        ((4, 6), (4, 8), (6, 9), (4, 6)),
        (((8, 12),), ((8, 12), (0, 6, 12)), ((4, 8), (0, 9)), ((4, 12),)),
        (16, 24, 32),
    ),
    "resnet_widths": Grid(((3, 6), (4, 8), (6, 9)), (((0, 3, 6),), ((4, 8), (0, 8)), ((4, 8),)), (16, 24, 32)),
}
every_family = pytest.mark.parametrize("space", SMALL)


def drawn(network: nn.Module, seed: int = 0) -> None:
    """Normalisations as after a training: a shift would fill channels that are masked once."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, low, high in ((norm.weight, 0.5, 1.5), (norm.bias, -1, 1), (norm.running_mean, -1, 1)):
                values.data.uniform_(low, high, generator=generator)  # type: ignore[union-attr]
            norm.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]


def elastic(space: str, grid: Grid | None = None) -> ElasticNetwork:
    torch.manual_seed(1)
    network = elastic_of(space, 5, SETTINGS, grid or SMALL[space])
    drawn(network)
    return network


def options(network: ElasticNetwork, seed: int) -> dict[str, int]:
    generator = torch.Generator().manual_seed(seed)
    return {c.name: int(torch.randint(len(c.values), (1,), generator=generator)) for c in network.choices}


def one_hot(network: ElasticNetwork, chosen: Mapping[str, int]) -> dict[str, Tensor]:
    return {each.name: torch.eye(len(each.values))[chosen[each.name]] for each in network.choices}


def logits_of(network: ElasticNetwork, seed: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {each.name: torch.randn(len(each.values), generator=generator).requires_grad_() for each in network.choices}


def soft(logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: row.softmax(0) for name, row in logits.items()}


def images(seed: int = 5) -> Tensor:
    return torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(seed))


@every_family
@pytest.mark.parametrize("training", [True, False])
def test_one_hot_masks_are_the_sliced_network_and_the_built_one(space: str, training: bool) -> None:
    network, x = elastic(space).double(), images().double()
    for seed in range(6):
        chosen = options(network, seed)
        built = build(network.architecture(chosen), 5, SETTINGS).double()
        built.load_state_dict(network.weights_of(chosen))
        for each in (network, built):
            each.train(training)
        masked = one_hot(network, chosen)
        with torch.no_grad():
            wanted = built(x)
            for selected in (chosen, masked, {**masked, "resolution": chosen["resolution"]}):
                torch.testing.assert_close(network(x, selected), wanted, rtol=1e-9, atol=1e-9)


@every_family
def test_gradients_of_the_sliced_network_are_those_of_the_built_one(space: str) -> None:
    network = elastic(space)
    chosen = options(network, 2)
    built = build(network.architecture(chosen), 5, SETTINGS)
    built.load_state_dict(network.weights_of(chosen))
    for each, given in ((network, (images(), chosen)), (built, (images(),))):
        each.train()(*given).square().sum().backward()
    large = dict(network.network.named_parameters())
    for name, parameter in built.named_parameters():
        gradient = large[name].grad
        assert gradient is not None
        prefix = tuple(map(slice, parameter.shape))
        torch.testing.assert_close(gradient[prefix], parameter.grad, rtol=1e-4, atol=1e-5)
        outside = gradient.clone()
        outside[prefix] = 0
        assert not outside.any(), "weights beyond the prefix learn nothing"


@every_family
def test_statistics_of_a_narrow_run_go_into_the_prefix_alone(space: str) -> None:
    network = elastic(space).train()
    before = {name: value.clone() for name, value in network.network.named_buffers()}
    smallest = {each.name: 0 for each in network.choices if each.values[0]}
    network(images(), smallest)
    small = network.weights_of(smallest)
    changed = 0
    for name, value in network.network.named_buffers():
        if not name.endswith("running_mean"):
            continue
        width = len(small[name])
        changed += bool((value[:width] != before[name][:width]).any())
        assert torch.equal(value[width:], before[name][width:])
    assert changed


def test_recalibration_gives_a_width_its_own_statistics() -> None:
    network = elastic("resnet_widths").train()
    chosen = {"stages.0.width": 0, "stages.1.0.inside": 0, "resolution": 0}
    batches = [images(seed) for seed in range(3)]
    recalibrate(network, lambda batch: network(batch, chosen), batches)
    assert network.training
    assert network.network.bn.momentum == 0.1
    means = [
        F.conv2d(sample(batch, 8), network.network.conv.weight[:3], padding=1).mean((0, 2, 3)) for batch in batches
    ]
    torch.testing.assert_close(network.network.bn.running_mean[:3], torch.stack(means).mean(0))  # type: ignore[index]


def test_a_masked_convolution_is_the_sum_over_branches() -> None:
    torch.manual_seed(0)
    layer, x, gates = nn.Conv2d(3, 16, 3, padding=1, bias=False), torch.randn(2, 3, 8, 8), torch.randn(4).softmax(0)
    widths = (4, 8, 12, 16)
    mask = oracle.mask(gates, widths).flatten()
    found = Width(16, mask).weigh(convolve(layer, x, 16))
    torch.testing.assert_close(found, oracle.branches(layer.weight, x, gates, widths), rtol=0, atol=1e-6)
    assert (mask.diff() <= 0).all()
    assert mask[0] == pytest.approx(1)


def test_a_resnet_with_gates_is_that_of_the_textbook_with_its_gradients() -> None:
    network = elastic("resnet_widths").eval()
    logits, values = logits_of(network), {each.name: each.values for each in network.choices}
    found = network(images(), soft(logits))
    wanted = oracle.resnet(network.network, values, soft(logits), images())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(9))
    ours, theirs = (torch.autograd.grad((each * weight).sum(), list(logits.values())) for each in (found, wanted))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert all(gradient.any() for gradient in ours)


@every_family
def test_every_choice_learns_with_gates(space: str) -> None:
    network = elastic(space).train()
    logits = logits_of(network)
    gradients = torch.autograd.grad(network(images(), soft(logits)).square().sum(), list(logits.values()))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@every_family
def test_full_resolution_is_the_identity(space: str) -> None:
    network = elastic(space).eval()
    assert torch.equal(sample(images(), 16), images())
    assert torch.equal(scatter(images(), 16), images())
    full = torch.tensor([0.0, 0.0, 1.0])
    with torch.no_grad():
        torch.testing.assert_close(network(images(), {"resolution": full}), network(images()), rtol=1e-5, atol=1e-6)
        assert torch.equal(network(images(), {"resolution": 2}), network(images()))


@pytest.mark.parametrize("side", [1, 3, 5, 12, 14, 16])
def test_sampling_gives_back_what_was_scattered(side: int) -> None:
    small = torch.randn(2, 3, side, side)
    large = scatter(small, 16)
    assert torch.equal(sample(large, side), small)
    assert int((large[0, 0] != 0).sum()) == side**2


def kept_bytes(options: int) -> int:
    """Of what a masked step keeps for its backward pass, every storage once."""
    widths = tuple(16 * (step + 1) // options for step in range(options))
    network = elastic("resnet_widths", Grid((widths,) * 3, ((widths,),) * 3))
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        gates = {name: gate for name, gate in soft(logits_of(network)).items() if name != "resolution"}
        network(torch.randn(8, 2, 16, 16), gates)
    return sum(kept.values())


def test_memory_does_not_grow_with_the_options() -> None:
    few, many = kept_bytes(2), kept_bytes(16)
    assert few > 500_000
    assert many == pytest.approx(few, rel=0.01)


@every_family
def test_layers_count_what_is_built_and_expect_what_enumeration_averages(space: str) -> None:
    """Tied widths among them: each stream enters and leaves its layers."""
    network = elastic(space)
    macs, params = network.layers("macs", 16), network.layers("params", 16)
    counts = [
        get_space(space).counts(network.architecture(chosen), 5, SETTINGS, 16)
        for chosen in (options(network, seed) for seed in range(20))
    ]
    chosen = [options(network, seed) for seed in range(20)]
    codes = {each.name: torch.tensor([one[each.name] for one in chosen]) for each in network.choices}
    assert counted(macs, codes).tolist() == [each.macs for each in counts]
    assert counted(params, codes).tolist() == [each.params for each in counts]
    assert [sum(layer.discrete(one) for layer in macs) for one in chosen] == [each.macs for each in counts]
    gates = soft({name: row.detach().double() for name, row in logits_of(network).items()})
    every = list(itertools.product(*(range(len(each.values)) for each in network.choices)))
    total = {
        each.name: torch.tensor(column) for each, column in zip(network.choices, zip(*every, strict=True), strict=True)
    }
    p = torch.stack([gates[name][column] for name, column in total.items()]).prod(dim=0)
    for layers in (macs, params):
        average = (p * counted(layers, total)).sum().item()
        assert expected_macs(layers, gates).item() == pytest.approx(average, rel=1e-9)


def test_a_tied_width_costs_more_than_its_mean_squared() -> None:
    layers = Layers()
    tied = Factor((8.0, 16.0, 24.0, 32.0), "stages.0.width")
    layers.convolution(9, Factor((1.0,)), tied, tied)
    uniform = {"stages.0.width": torch.full((4,), 0.25, dtype=torch.float64)}
    assert expected_macs(layers.macs, uniform).item() == pytest.approx(9 * (64 + 256 + 576 + 1024) / 4)
    assert 20**2 / (expected_macs(layers.macs, uniform).item() / 9) == pytest.approx(0.833, abs=5e-4)


def test_what_is_no_choice_is_refused() -> None:
    network = elastic("resnet_widths")
    for wrong in ({"stages.7.width": 0}, {"stages.0.width": 2}, {"stages.0.width": torch.ones(3)}):
        with pytest.raises(ArchitectureError, match=r"stages\.[07]\.width"):
            network(images(), wrong)
    with pytest.raises(ArchitectureError, match="'resnet' is no space of widths, as chain_s_widths"):
        elastic_of("resnet", 5, SETTINGS)


def test_a_choice_knows_the_option_nearest_to_a_ratio() -> None:
    choices = {each.name: each for each in elastic("chain_xs_widths").choices}
    assert [choices["stages.1.1.inside"].nearest(ratio) for ratio in (0, 0.4, 0.75, 0.8, 1)] == [1, 1, 1, 2, 2]
    assert math.prod(len(each.values) for each in choices.values()) == 2**8 * 3 * 2 * 3
