"""DNA: what grows computes the same, what condenses is a slice, MACs are those of the counter, and both directions."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext, Start
from methods.gradient.dna.options import DNAOptions
from methods.gradient.dna.search import DNA
from methods.parts.costs.widths import expected_macs
from methods.parts.counts import count_macs
from methods.parts.windows import Windows, around
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.inherited_widths import by_scale
from methods.spaces.restated import as_widths
from methods.spaces.widths import Stage, Widths
from methods.spaces.window_network import WindowNetwork
from tests.oracles import windows as oracle

SHAPE = (1, 8, 8)
SETTINGS = NetworkSettings(in_channels=1)
WIDTHS = {
    "resnet_widths": Widths((Stage(8, (8, 8)), Stage(12, (12, 12)), Stage(16, (16, 16)))),
    "chain_xs_widths": Widths((Stage(6, (12, 9)), Stage(8, (16, 12)), Stage(8, (16,)), Stage(12, (24, 20)))),
}
PROJECTED = {"depth": 8, "shortcut": "projection"}
every_space = pytest.mark.parametrize("space", WIDTHS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def space_of(name: str) -> Any:
    return get_space(name)


def trained(space: str, widths: Widths | None = None) -> tuple[Architecture, nn.Module]:
    """A network with weights and statistics as if it had been trained."""
    torch.manual_seed(4)
    architecture = space_of(space).architecture(widths or WIDTHS[space])
    network = build(architecture, 10, SETTINGS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0),
            ):  # fmt: skip
                assert tensor is not None
                nn.init.uniform_(tensor, low, high)
    return architecture, network


def search(space: str, **options: Any) -> DNA:
    architecture, network = trained(space)
    start = Start(architecture, SETTINGS, network.state_dict())
    given = {"epochs": 40, "batch_size": 16, "move_every": 1, "arch_lr": 0.1, "arch_start_epoch": 0} | options
    method = DNA(DNAOptions(**given), SearchContext(10, 1, 8, seed=3, start=start))
    method.to(torch.device("cpu"))
    return method


def outputs(network: nn.Module, training: bool, images: Tensor, *given: Any) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(network).train(training)(images, *given)


def images() -> Tensor:
    return torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(1))


def same(one: nn.Module, other: nn.Module, *given: Any) -> None:
    """In training and in evaluation mode."""
    for training in (True, False):
        expected = outputs(other, training, images())
        assert float(expected.abs().max()) > 0.2
        torch.testing.assert_close(outputs(one, training, images(), *given), expected, rtol=0, atol=1e-5)


@every_space
def test_at_first_every_middle_and_every_largest_width_computes_what_was_trained(space: str) -> None:
    """Channels are in another order, and there are more; no new weight of what was there is seen."""
    _, network = trained(space)
    net = search(space).supernet
    assert isinstance(net, WindowNetwork)
    same(net.elastic, network)
    same(net.elastic, network, net.grid.options(WIDTHS[space]))


@every_space
def test_a_reordered_network_computes_the_same_with_its_largest_scales_first(space: str) -> None:
    architecture, network = trained(space)
    ordered = build(architecture, 10, SETTINGS)
    ordered.load_state_dict(by_scale(network))
    same(ordered, network)
    name = "stages.0.0.bn1" if space == "resnet_widths" else "slots.0.blocks.0.norm1"
    before = network.state_dict()[f"{name}.weight"]
    if space == "resnet_widths":
        assert torch.equal(ordered.state_dict()[f"{name}.weight"], before.sort(descending=True).values)
    assert not torch.equal(ordered.state_dict()[f"{name}.weight"], before)


def with_another_block(net: WindowNetwork, stage: int) -> Windows:
    found = net.windows.deepened(stage, around(9, 0.25), 40)
    assert found is not None
    return found[0]


@every_space
@pytest.mark.parametrize("stage", [0, 1])
def test_a_new_block_adds_nothing_at_first_and_learns_at_once(space: str, stage: int) -> None:
    """Blocks of later stages are called otherwise then, in chains; they keep their weights."""
    _, network = trained(space)
    net = search(space).supernet
    assert isinstance(net, WindowNetwork)
    net.become(with_another_block(net, stage), 1.0)
    same(net.elastic, network)
    before = net.weights()
    net.elastic.train()(images()).square().sum().backward()
    path = net.space.block_path(net.largest, stage, len(WIDTHS[space].stages[stage].inside))
    closing = before[f"{path}.{'bn2' if space == 'resnet_widths' else 'blocks.0.norm3'}.weight"]
    assert not closing.detach().any()
    assert closing.grad is not None
    assert closing.grad[: WIDTHS[space].stages[stage].width].abs().min() > 0


@every_space
def test_what_has_grown_sees_by_columns_first_and_by_filters_a_step_later(space: str) -> None:
    """The filters are drawn, no two alike: symmetry is broken, though they have no gradient at first."""
    net = search(space).supernet
    assert isinstance(net, WindowNetwork)
    path = "stages.0.0" if space == "resnet_widths" else "slots.0.blocks.0"
    into, out = ("conv1", "conv2") if space == "resnet_widths" else ("expand", "project")
    old = WIDTHS[space].stages[0].inside[0]
    weights = net.weights()
    filters, columns = weights[f"{path}.{into}.weight"], weights[f"{path}.{out}.weight"]
    new = filters[old:].detach().flatten(1)
    assert len(new) > 1
    assert len(new.unique(dim=0)) == len(new)
    optimiser = torch.optim.SGD(net.parameters(), 0.01)
    gradients = []
    for _ in range(2):
        optimiser.zero_grad()
        net.elastic.train()(images()).square().sum().backward()
        assert filters.grad is not None
        assert columns.grad is not None
        known = WIDTHS[space].stages[0].width
        gradients.append((float(filters.grad[old:].abs().max()), float(columns.grad[:known, old:].abs().min())))
        optimiser.step()
    assert gradients[0][0] == 0 < gradients[0][1]
    assert gradients[1][0] > 0


@every_space
def test_a_drawn_network_is_the_sliced_one_in_training_and_in_evaluation(space: str) -> None:
    method = search(space, presence=0.5)
    net = method.adapted.network
    for _ in range(4):
        gates = method._drawn()
        options = {name: int(row.argmax()) for name, row in gates.items()} | net.fixed
        sliced = build(net.elastic.architecture(options), 10, SETTINGS)
        sliced.load_state_dict(net.elastic.weights_of(options))
        for training in (True, False):
            masked = outputs(net, training, images(), gates)
            torch.testing.assert_close(masked, outputs(sliced, training, images()), rtol=1e-4, atol=2e-5)


def test_expected_macs_are_those_of_all_networks_counted_one_by_one() -> None:
    space, widths = space_of("resnet_widths"), Widths((Stage(4, (4,)), Stage(1, (1,)), Stage(1, (1,))))
    net = WindowNetwork(space, Windows.of(widths, 0.3), 10, SETTINGS)
    torch.manual_seed(0)
    nn.init.normal_(net.alphas)
    nn.init.normal_(net.betas)
    by_name, gates = net.windows.by_name(), dict(zip(net.removable, net.betas.tolist(), strict=True))
    choices = {
        name: oracle.options(by_name[name].values, row, gates.get(name))
        for name, row in zip(net.names, net.alphas.tolist(), strict=True)
    }

    def macs(widths: Widths) -> float:
        return float(space.counts_of(widths, 10, *SHAPE[:2]).macs)

    assert macs(widths) == count_macs(build(space.architecture(widths), 10, SETTINGS), SHAPE)
    found = expected_macs(net.elastic.layers("macs", 8), net.probabilities())
    assert float(found.detach()) == pytest.approx(oracle.expected_macs(choices, (1, 1, 1), macs), rel=1e-5)


@every_space
def test_a_move_grows_condenses_adds_and_removes(space: str) -> None:
    """What stays keeps weights and momenta; ties hold: one width for all that a residual addition joins."""
    method = search(space, ratio=2.0)
    adapted, net = method.adapted, method.adapted.network
    names = [f"stages.1.{n}.inside" for n in (0, 1)]
    with torch.no_grad():
        net.rows(net.alphas)["stages.0.width"].copy_(torch.tensor([0.0, 0.0, 3.0]))
        net.rows(net.alphas)[names[0]].copy_(torch.tensor([3.0, 0.0, 0.0]))
        net.gates(net.betas)["stages.0.1.inside"].fill_(5.0)
        net.gates(net.betas)[names[1]].fill_(-1.0)
    for momentum in adapted.optimisers.momenta().values():
        momentum.fill_(2.0)
    first, kept = WIDTHS[space].stages[0], net.elastic.network.state_dict()
    classifier = {name: tensor.clone() for name, tensor in kept.items() if name.startswith("classifier")}
    move = adapted.move(7)
    assert move.added == ["stages.0.2.inside"]
    assert move.removed == [names[1]]
    assert {"stages.0.width", names[0]} <= set(move.moved)
    assert not move.last
    windows = net.windows.by_name()
    wider = windows["stages.0.width"].centre
    assert wider > first.width
    assert names[1] not in windows
    largest = build(space_of(space).architecture(net.largest), 10, SETTINGS)
    assert {k: v.shape for k, v in net.elastic.network.state_dict().items()} == {
        k: v.shape for k, v in largest.state_dict().items()
    }
    state = net.elastic.network.state_dict()
    if space == "chain_xs_widths":
        assert all(torch.equal(state[name], tensor) for name, tensor in classifier.items())
    momenta = adapted.optimisers.momenta()
    stem = momenta["conv.weight" if space == "resnet_widths" else "stem.0.weight"]
    assert stem.flatten()[0] == 2.0
    values = {float(value) for momentum in momenta.values() for value in momentum.unique()}
    assert values == {0.0, 2.0}, "of what is kept as it was, of what is new zero"


OPPOSITE = list(itertools.product((0.5, 2.0), WIDTHS))


@pytest.mark.parametrize(
    ("ratio", "space"),
    [pytest.param(*each, marks=() if n in (0, 3) else pytest.mark.long) for n, each in enumerate(OPPOSITE)],
)
def test_from_half_the_budget_it_grows_and_from_double_it_shrinks(space: str, ratio: float) -> None:
    """On noise, which prefers nothing: what decides is the budget."""
    method = search(space, ratio=ratio, arch_lr=0.2, epochs=8)
    generator = torch.Generator().manual_seed(5)
    for epoch in range(method.epochs):
        if method.finished:
            break
        method.on_epoch_start(epoch)
        for _ in range(4):
            method.supernet.train()
            batches = (torch.randn(16, *SHAPE, generator=generator) for _ in range(2))
            method.step(*((x, torch.randint(10, (16,), generator=generator)) for x in batches))
        method.on_epoch_end(epoch)
    before = space_of(space).read(trained(space)[0])
    answer = build(method.architecture(), 10, SETTINGS)
    answer.load_state_dict(dict(method.inherited()))
    told = method.ending()
    macs = count_macs(answer, SHAPE)
    assert macs == told["macs"]
    assert abs(macs / (ratio * count_macs(trained(space)[1], SHAPE)) - 1) <= 0.02
    after = space_of(space).read(method.architecture())
    moved = [pair for move in told["moves"][:2] for pair in move["moved"].values()]
    assert moved
    assert sum((new > old) == (ratio > 1) for old, new in moved) > len(moved) / 2
    assert (sum(map(sum, (s.inside for s in after.stages))) > sum(map(sum, (s.inside for s in before.stages)))) == (
        ratio > 1
    )
    assert told["within"]


def test_a_search_that_ends_before_it_is_done_still_meets_its_budget() -> None:
    method = search("resnet_widths", ratio=4.0, epochs=1)
    told = method.ending()
    assert told["within"]
    assert not told["inside_windows"]
    grown = build(method.architecture(), 10, SETTINGS)
    grown.load_state_dict(dict(method.inherited()))
    same(grown, trained("resnet_widths")[1])


@pytest.mark.parametrize(
    ("architecture", "space"),
    [
        (Architecture("resnet", PROJECTED, {"channels": 5}, {"stages.1.0.mid": 7}), "resnet_widths"),
        (Architecture("chain_xs", {"chain": "k3e3 | k3e6 zero | k3e3 k3e3 k3e6 | k3e6"}), "chain_xs_widths"),
        (Architecture("chain_xs", {"chain": "k3e3 | k5e6 zero | k3e3 k3e3 | k3e6"}), None),
        (Architecture("chain_xs", {"chain": "k3e3 | k3e6 zero | k3e3 k3e3+k3e6 | k3e6"}), None),
        (Architecture("chain_xs", {"chain": "k3e3 | k3e6 zero | k3e3 k3e3 | k3e6"}, {"channels": 9}), None),
        (Architecture("resnet", {"depth": 8}), None),
    ],
)  # fmt: skip
def test_a_network_of_another_space_is_adapted_where_it_is_one_of_widths(
    architecture: Architecture, space: str | None
) -> None:
    """It is the same network: the same weights by name, the same outputs."""
    found = as_widths(architecture)
    assert (found[0].name if found else None) == space
    if found is not None:
        network = build(architecture, 10, SETTINGS)
        other = build(found[0].architecture(found[1]), 10, SETTINGS)
        other.load_state_dict(network.state_dict())
        assert torch.equal(outputs(network, True, images()), outputs(other, True, images()))


def test_the_architecture_step_leaves_weights_and_statistics_alone() -> None:
    method = search("resnet_widths")
    before = copy.deepcopy(method.adapted.network.elastic.state_dict())
    method.supernet.train()
    alphas = method.adapted.network.alphas.detach().clone()
    method._learn((images(), torch.randint(10, (16,))))
    after = method.adapted.network.elastic.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not torch.equal(method.adapted.network.alphas, alphas)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"remove": 0.95}, "every block would go at once"), ({"arch_start_epoch": 40}, "leaves none of the 40 epochs")],
)
def test_options_that_cannot_be(options: dict[str, Any], told: str) -> None:
    with pytest.raises(MethodError, match=told):
        search("resnet_widths", **options)


def test_a_network_whose_widths_are_no_choices_is_refused() -> None:
    architecture = Architecture("resnet", {"depth": 8})
    start = Start(architecture, SETTINGS, build(architecture, 10, SETTINGS).state_dict())
    with pytest.raises(MethodError, match=r"ResNet with projections.*this one is of resnet"):
        DNA(DNAOptions(), SearchContext(10, 1, 8, start=start))
    with pytest.raises(MethodError, match="none was given; name its row with 'of'"):
        DNA(DNAOptions(), SearchContext(10, 1, 8))
