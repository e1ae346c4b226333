"""Chains made larger: they compute what the smaller one did, and grow until the clock says no."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SearchContext
from methods.parts.counts import count_params
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.chain.grown import deepened, inherited, widened
from methods.transform.comfort_zone import ComfortZone, ComfortZoneOptions

CHAIN = Architecture("chain_xs", {"chain": "k3e3sh | k5e6 zero | k3e3 k7e3 | k3e6"})
SETTINGS = NetworkSettings()
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def trained(architecture: Architecture) -> nn.Module:
    """With scales, shifts and statistics as if it had been trained."""
    torch.manual_seed(3)
    network = build(architecture, 10, SETTINGS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    return network.eval()


def larger() -> dict[str, Architecture]:
    filled, behind = deepened(CHAIN, 1), deepened(CHAIN, 0)
    assert filled is not None
    assert behind is not None
    return {"wider": widened(CHAIN, 13), "filled": filled, "behind": behind, "all": widened(behind, 20)}


@pytest.mark.parametrize("how", ["wider", "filled", "behind", "all"])
def test_the_larger_network_computes_what_the_smaller_one_did(how: str) -> None:
    network, after = trained(CHAIN), larger()[how]
    drawn = build(after, 10, SETTINGS)
    assert count_params(drawn) > count_params(network)
    drawn.load_state_dict(inherited(CHAIN, after, network.state_dict(), drawn))
    assert torch.allclose(drawn.eval()(IMAGES), network(IMAGES), atol=1e-5)
    assert network(IMAGES).std() > 0.01


def test_what_was_added_learns() -> None:
    network, after = trained(CHAIN), larger()["all"]
    drawn = build(after, 10, SETTINGS)
    drawn.load_state_dict(inherited(CHAIN, after, network.state_dict(), drawn))
    optimiser = torch.optim.SGD(drawn.parameters(), 0.1)
    before = {name: each.detach().clone() for name, each in drawn.named_parameters()}
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(drawn.train()(IMAGES), torch.tensor([0, 1, 2])).backward()
        optimiser.step()
    assert all(not torch.equal(each, before[name]) for name, each in drawn.named_parameters())


def test_a_stage_is_filled_before_it_is_made_longer() -> None:
    once = deepened(CHAIN, 1)
    assert once is not None
    assert once.genotype["chain"] == "k3e3sh | k5e6 k5e6 | k3e3 k7e3 | k3e6"
    twice = deepened(once, 1)
    assert twice is not None
    assert twice.genotype["chain"] == "k3e3sh | k5e6 k5e6 k5e6 | k3e3 k7e3 | k3e6"
    full = Architecture("chain_xs", {"chain": f"k3e3 | k3e3 {'zero ' * 39}| k3e3 | k3e3"})
    for _ in range(39):
        full = deepened(full, 1) or full
    assert deepened(full, 1) is None
    get_space("chain_xs").validate(full)


def zone(tolerance: float, rounds: int = 8) -> ComfortZone:
    context = SearchContext(10, slowdown=lambda network, other: max(1.0, count_params(network) / 60_000))
    return ComfortZone(ComfortZoneOptions(tolerance=tolerance, rounds=rounds), context)


def test_it_grows_to_the_knee_and_says_what_it_tried() -> None:
    """A device on which 60,000 parameters are free, and every other one takes its time."""
    network = trained(CHAIN)
    before = count_params(network)
    answer = zone(0.05).apply(CHAIN, network, None)
    after = count_params(build(answer.architecture, 10, SETTINGS))
    assert before < after <= 63_000
    assert answer.report["params"] == [before, after]
    last = [each for each in answer.report["tried"] if each["round"] == answer.report["tried"][-1]["round"]]
    assert all(each["time"] > 1.05 for each in last)
    assert answer.report["time"] <= 1.05


def test_rounds_end_it_and_a_device_in_full_use_leaves_it_as_it_is() -> None:
    network = trained(CHAIN)
    once = zone(0.05, rounds=1).apply(CHAIN, network, None)
    assert {each["round"] for each in once.report["tried"]} == {1}
    method = zone(0.01)
    method.context = replace(method.context, slowdown=lambda network, other: 1.5)
    same = method.apply(CHAIN, network, None)
    assert same.architecture == CHAIN
    assert same.report["time"] == 1.0
    assert all(torch.equal(each, network.state_dict()[name]) for name, each in same.weights.items())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("resnet", {"depth": 8}), "resnet cannot be made larger"),
        (replace(CHAIN, widths={"slots.0.0.inner": 20}), "were pruned"),
    ],
)
def test_what_is_no_dense_chain_is_refused(architecture: Architecture, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        zone(0.05).apply(architecture, nn.Linear(1, 1), None)
    with pytest.raises(ArchitectureError, match=message):
        widened(architecture, 20)


def test_a_size_to_match_and_a_missing_clock_are_refused() -> None:
    with pytest.raises(MethodError, match="leave 'match' out"):
        zone(0.05).apply(CHAIN, trained(CHAIN), {"on": "params", "value": 1.0})
    with pytest.raises(MethodError, match="needs a clock"):
        ComfortZone(ComfortZoneOptions(), SearchContext(10)).apply(CHAIN, trained(CHAIN), None)
