"""What every registered transform keeps to: a new one is tested by being registered, in every space that it names."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from methods.architecture import Architecture, canonical_json
from methods.base import SearchContext, Transform, Transformed
from methods.genotypes import published
from methods.parts.counts import count_nonzero, count_params
from methods.registry import all_methods
from methods.spaces import NetworkSettings, build, get_space
from tests.contracts.tiny import TRANSFORMS, tiny

SETTINGS = NetworkSettings(channels=8, cells=3, auxiliary=True)
CONTEXT = SearchContext(
    num_classes=10, image_size=16, slowdown=lambda network, other: size_of(network) / size_of(other)
)
NETWORKS = {
    "darts_cell": published("DARTS_V2"),
    "resnet": Architecture("resnet", {"depth": 8}, {"channels": 4}),
    "vgg": Architecture("vgg", {"depth": 11}, {"channels": 8}),
    "chain_xs": Architecture("chain_xs", {"chain": "k3e3 | k3e3 zero | k3e3 k5e3 | k3e3"}),
}
"""Small networks of spaces with channels that can be removed or added."""
CASES = [
    pytest.param(name, space, id=f"{name}-{space}")
    for name in TRANSFORMS
    for space in NETWORKS
    if {space, "any"} & set(all_methods()[name].facts.space.split(", "))
]

every_case = pytest.mark.parametrize(("name", "space"), CASES)


def size_of(network: nn.Module) -> int:
    """Stands in for a network's time."""
    return count_params(network)


def new(name: str) -> Transform:
    cls: Any = all_methods()[name]
    method: Transform = cls(cls.Options(**tiny(name)), CONTEXT)
    return method


every_case_that_makes_smaller = pytest.mark.parametrize(
    ("name", "space"), [case for case in CASES if not new(str(case.values[0])).enlarges]
)


def trained(space: str) -> nn.Module:
    """A network with weights and scales as if it had been trained."""
    torch.manual_seed(5)
    network = build(NETWORKS[space], 10, SETTINGS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.1, 1)
    return network


@cache
def transformed(name: str, space: str) -> Transformed:
    torch.manual_seed(9)
    return new(name).apply(NETWORKS[space], trained(space), None)


def test_every_transform_is_tested_somewhere() -> None:
    assert {case.values[0] for case in CASES} == set(TRANSFORMS)


@every_case
def test_its_answer_is_valid_and_smaller_or_larger(name: str, space: str) -> None:
    answer = transformed(name, space).architecture
    get_space(answer.space).validate(answer)
    network = build(answer, 10, SETTINGS)
    network.load_state_dict(transformed(name, space).weights)
    left, before = count_nonzero(network, answer.masks), count_params(trained(space))
    assert left > before if new(name).enlarges else left < before
    assert network.eval()(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


@every_case
def test_its_report_is_written_as_json_and_says_what_was_asked_and_reached(name: str, space: str) -> None:
    report = transformed(name, space).report
    assert json.loads(canonical_json(report)) == json.loads(json.dumps(report))
    assert report


@every_case
def test_it_is_decided_by_the_network_alone(name: str, space: str) -> None:
    """No generator has a part in it, and the trained network is left as it was."""
    torch.manual_seed(10)
    network = trained(space)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    again = new(name).apply(NETWORKS[space], network, None)
    assert again.architecture == transformed(name, space).architecture
    weights = transformed(name, space).weights
    assert all(torch.equal(value, weights[key]) for key, value in again.weights.items())
    assert set(again.weights) == set(weights)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@every_case_that_makes_smaller
def test_it_reaches_another_results_size(name: str, space: str) -> None:
    """Within a tenth of 60 % of the parameters that count."""
    wanted = int(0.6 * count_params(trained(space)))
    answer = new(name).apply(NETWORKS[space], trained(space), {"on": "params_nonzero", "value": wanted}).architecture
    assert abs(count_nonzero(build(answer, 10, SETTINGS), answer.masks) - wanted) < 0.1 * wanted


@pytest.mark.parametrize("name", TRANSFORMS)
def test_rows_that_share_the_dense_training_agree_in_its_penalty(name: str) -> None:
    """`penalty_options` is a part of the options, and decides whether there is a penalty."""
    cls: Any = all_methods()[name]
    options = cls.Options(**tiny(name))
    assert set(cls.penalty_options(vars(options))) <= set(vars(options))
    penalty = new(name).training_penalty(trained("darts_cell"))
    assert (penalty is None) == (not cls.penalty_options(vars(options)))
    assert penalty is None or (penalty.shape == () and penalty.requires_grad)
