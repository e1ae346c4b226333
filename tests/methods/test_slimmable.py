"""US-Net, AutoSlim and MutualNet beside a textbook, and what each of them chooses."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench.data.datasets import load
from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.gradient.autoslim import AutoSlim, AutoSlimOptions
from methods.gradient.mutualnet import MutualNet, MutualNetOptions
from methods.gradient.slimmable import decayed
from methods.gradient.us_net import USNet, USNetOptions
from methods.parts.distillation import distance
from methods.parts.query_table import Member, query_table
from methods.parts.recalibration import recalibrate
from methods.spaces import build
from methods.spaces.width_space import elastic_of
from methods.spaces.widths import RESOLUTION
from tests.oracles.slimmable import Momentum, gradients

CONTEXT = SearchContext(num_classes=10, in_channels=1, image_size=16, seed=1)
XS = "chain_xs_widths"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 16, 16, generator=generator), torch.randint(10, (8,), generator=generator)


def started(cls: Any, options: Any) -> Any:
    torch.manual_seed(3)
    method = cls(options, CONTEXT)
    method.to(torch.device("cpu"))
    method.begin(2)
    method.supernet.train()
    return method


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (USNet, USNetOptions(XS, epochs=2)),
        (AutoSlim, AutoSlimOptions(XS, epochs=2)),
        (MutualNet, MutualNetOptions(XS, epochs=2)),
        (MutualNet, MutualNetOptions("resnet_widths", epochs=2)),
    ],
    ids=["us_net", "autoslim", "mutualnet", "mutualnet-resnet"],
)
def test_steps_are_those_of_networks_built_by_themselves(cls: Any, options: Any) -> None:
    """Two steps: sum of the gradients of all networks, the teacher's targets constant, one step of SGD."""
    method = started(cls, options)
    textbook, by_hand = copy.deepcopy(method.supernet), Momentum(options.momentum, options.weight_decay)
    generator = torch.Generator().manual_seed(CONTEXT.seed)
    drawn = method.sampler(generator)
    for number, lr in enumerate(
        (0.1, 0.075) if options.schedule == "linear" else (0.1, 0.05 * (1 + math.cos(math.pi / 4)))
    ):
        networks = drawn()
        assert len(networks) == 4
        method.step(batch(number), None)
        by_hand.step(textbook.network, gradients(textbook, networks, *batch(number)), lr)
    own, expected = method.supernet.state_dict(), textbook.network.state_dict()
    for name in dict(textbook.network.named_parameters()):
        torch.testing.assert_close(own[f"network.{name}"], expected[name], rtol=1e-3, atol=2e-5)


def test_at_the_largest_width_the_loss_is_plain_cross_entropy() -> None:
    method = started(USNet, USNetOptions(XS))
    images, labels = batch()
    found = method.plain((images, labels), method.sandwich.largest)[0].item()
    assert found == F.cross_entropy(method.supernet(images), labels).item()
    assert float(method.step((images, labels), None)["loss_sum"]) == found * len(labels)


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = (torch.randn(4, 10, requires_grad=True) for _ in range(2))
    distance(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    expected = (student.softmax(1) - teacher.softmax(1)).detach() / 4
    torch.testing.assert_close(student.grad, expected)


def test_distillation_is_on_unless_it_is_switched_off() -> None:
    images, labels = batch()
    method = started(USNet, USNetOptions(XS))
    smallest, teacher = method.sandwich.smallest, method.plain((images, labels), method.sandwich.largest)[2]
    told = method.narrow_loss((images, labels), smallest, teacher)
    assert told.item() == pytest.approx(distance(method.supernet(images, smallest), teacher).item())
    plain = started(USNet, USNetOptions(XS, distillation=False))
    found = plain.narrow_loss((images, labels), smallest, teacher)
    assert found.item() == F.cross_entropy(plain.supernet(images, smallest), labels).item() != told.item()


def test_mutualnet_with_one_width_and_one_resolution_is_ordinary_training() -> None:
    """The same bits as a loop that anybody would write."""
    options = MutualNetOptions(XS, epochs=1, least=1.0, resolutions=(32,))
    method = started(MutualNet, options)
    torch.manual_seed(3)
    network = elastic_of(XS, 10, method.settings).train()
    optimiser = torch.optim.SGD(decayed(network, 5e-4), 0.1, 0.9, nesterov=True)
    for number in range(2):
        method.step(batch(number), None)
        images, labels = batch(number)
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * number / 2))
        optimiser.step()
    for name, value in network.state_dict().items():
        assert torch.equal(method.supernet.state_dict()[name], value), name


def test_a_step_has_the_largest_the_smallest_and_random_networks() -> None:
    sandwich = started(MutualNet, MutualNetOptions(XS, least=0.5)).sandwich
    steps = [sandwich() for _ in range(60)]
    for largest, smallest, *_ in steps:
        assert largest == sandwich.largest
        assert {**smallest, RESOLUTION: 2} == sandwich.smallest
    narrow = [each for step in steps for each in step[1:]]
    assert {each[RESOLUTION] for each in narrow} == {0, 1, 2}
    floor, top = sandwich.smallest, sandwich.largest
    assert all(floor[name] <= each[name] <= top[name] for each in narrow for name in floor if name != RESOLUTION)
    widths = [{**each, RESOLUTION: 2} for each in narrow]
    grid = [each for each in sandwich.grid() if each[RESOLUTION] == 2]
    assert all(each in grid for each in widths)
    assert all(each in widths for each in grid[1:-1])


def test_autoslim_draws_a_width_for_every_choice() -> None:
    sandwich = started(AutoSlim, AutoSlimOptions(XS)).sandwich
    grid = sandwich.grid()
    assert sum(each not in grid for _ in range(20) for each in sandwich()) > 20


def members(*pairs: tuple[int, float]) -> list[Member]:
    return [Member(Architecture(XS, {"n": n}), {}, macs, 1, accuracy, 1.0) for n, (macs, accuracy) in enumerate(pairs)]


def test_the_query_table_is_monotone() -> None:
    random = torch.Generator().manual_seed(0)
    pairs = [
        (int(m), float(a))
        for m, a in zip(
            torch.randint(50, (80,), generator=random), torch.randint(100, (80,), generator=random), strict=True
        )
    ]
    table = query_table(members(*pairs))
    found = [(each.macs, each.accuracy) for each in table]
    assert found == sorted(found)
    assert len({accuracy for _, accuracy in found}) == len({macs for macs, _ in found}) == len(found)
    for macs, accuracy in set(pairs) - set(found):
        assert any(m <= macs and a >= accuracy for m, a in found)
    assert max(pairs, key=lambda pair: pair[1])[1] == found[-1][1]
    assert min(pairs)[0] == found[0][0]


def liking(weights: Mapping[str, float]) -> Any:
    """A score of an architecture that is a known function of its numbers."""

    def score(architecture: Architecture) -> dict[str, float]:
        stages = architecture.genotype["stages"]
        lost = 0.0
        for s, stage in enumerate(stages):
            lost += weights.get(f"stages.{s}.width", 0.1) / stage["width"]
            lost += sum(weights.get(f"stages.{s}.{b}.inside", 0.2) / inside for b, inside in enumerate(stage["inside"]))
        return {"accuracy": 90.0 - lost, "loss": lost}

    return score


def narrower(method: AutoSlim, member: Member) -> list[Architecture]:
    """Every network that has one option less in one choice."""
    found = []
    for choice in method.supernet.choices[:-1]:
        options = {each.name: each.values.index(member.chosen[each.name]) for each in method.supernet.choices}
        options[choice.name] -= 1
        if options[choice.name] >= 0 and choice.values[options[choice.name]] > 0:
            found.append(method.supernet.architecture(options))
    return found


def test_autoslim_meets_its_budgets_one_choice_at_a_time() -> None:
    score = liking({"stages.1.width": 50.0, "stages.0.0.inside": 30.0})
    method = started(AutoSlim, AutoSlimOptions(XS, budgets=(0.5, 0.75, 200_000.0)))
    assert method.architecture() == method.supernet.architecture(method.sandwich.largest)
    method.choose(score)
    largest = method.counts(method.supernet.architecture({})).macs
    budgets = [0.75 * largest, 0.5 * largest, 200_000.0]
    assert len(method.family()) == len({each.digest for each in method.family()}) == 3
    for member, budget in zip(method.slimmed, budgets, strict=True):
        assert member.macs <= budget
        before = method.scored[method.scored.index(member) - 1]
        assert before.macs > budget, "slimmed further than the budget asks for"
    assert method.architecture() == method.family()[-1]
    order = {each.name: each.values for each in method.supernet.choices}
    for before, after in zip(method.scored, method.scored[1:], strict=False):
        changed = [name for name in order if before.chosen[name] != after.chosen[name]]
        assert len(changed) == 1
        values = order[changed[0]]
        assert values.index(before.chosen[changed[0]]) - values.index(after.chosen[changed[0]]) == 1
        assert after.accuracy == max(score(each)["accuracy"] for each in narrower(method, before))


@pytest.mark.long
def test_narrow_networks_fall_without_statistics_of_their_own() -> None:
    """A small real training: running statistics are of all widths together, and of use to none of the narrow ones."""
    digits = load("digits").train
    images = (digits.images[:].float() / 255 - 0.3) / 0.37
    torch.manual_seed(0)
    method = USNet(USNetOptions(XS, epochs=6, batch_size=50), SearchContext(10, 1, 8, seed=0))
    method.begin(20)
    method.supernet.train()
    for _ in range(6):
        for rows in torch.randperm(1000).split(50):
            method.step((images[rows], digits.labels[rows]), None)
    accuracies = {}
    for name, options in (("largest", method.sandwich.largest), ("smallest", method.sandwich.smallest)):
        network = build(method.supernet.architecture(options), 10, method.settings)
        network.load_state_dict(method.supernet.weights_of(options))
        accuracies[f"{name} before"] = correct(network, images[1000:], digits.labels[1000:])
        recalibrate(network, network, images[:500].split(50))
        accuracies[name] = correct(network, images[1000:], digits.labels[1000:])
    assert accuracies["smallest"] > 60, accuracies
    assert accuracies["smallest before"] < accuracies["smallest"] - 20, accuracies


def correct(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Accuracy in percent."""
    with torch.no_grad():
        return 100.0 * (network.eval()(images).argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: USNetOptions("darts_cell"), "has no widths to choose"),
        (lambda: MutualNetOptions(XS, resolutions=(20, 32)), "has 24, 28, 32"),
        (lambda: AutoSlimOptions(XS, budgets=()), "names none"),
        (lambda: AutoSlim(AutoSlimOptions(XS, budgets=(0.01,)), CONTEXT), "networks of chain_xs_widths have from"),
    ],
    ids=["space", "resolutions", "no budget", "budget"],
)
def test_what_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises(MethodError, match=told):
        make()
