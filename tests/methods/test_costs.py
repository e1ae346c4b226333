"""Costs of architectures and of gates: against counting what is built, enumeration, and finite differences."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.parts.choices import equal_gates
from methods.parts.costs.constraint import derive_within
from methods.parts.costs.counts import Built, Counted, counted
from methods.parts.costs.objective import CostTerm, Objective
from methods.parts.costs.protocol import Cost
from methods.parts.costs.rules import LogRatio, Multiplier, Watching, WeightedSum
from methods.parts.costs.widths import Factor, Product, expected_macs
from methods.parts.counts import count_macs, count_params
from methods.parts.gates import Gates
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.base import ReadsGraphs, task_of_space
from methods.spaces.registry import space_names
from methods.spaces.supernets import RELAXATIONS

SMALL = NetworkSettings(4, 5)
IMAGENET = NetworkSettings(stem="imagenet")


def built_of(space: str) -> Built:
    """Small networks; those of chains have the space's size."""
    return Built(10, IMAGENET, 64) if "imagenet" in space else Built(10, SMALL, 16)


def soft_gates(space: str, seed: int = 0) -> dict[str, Gates]:
    """Random, in float64."""
    generator, topology = torch.Generator().manual_seed(seed), RELAXATIONS[space].topology

    def one() -> Gates:
        logits = torch.randn(topology.shape[1:], generator=generator, dtype=torch.float64)
        for place in topology.absent:
            logits[place] = -math.inf
        weights = torch.rand(len(logits), generator=generator, dtype=torch.float64) + 0.1
        return Gates(logits.softmax(-1).requires_grad_(), weights.requires_grad_())

    return {kind: one() for kind in topology.kinds}


ON_IMAGES = [
    name
    for name in space_names()
    if not isinstance(get_space(name), ReadsGraphs) and task_of_space(get_space(name)) == "classification"
]


def check_against_the_counter(space: str, networks: int) -> None:
    found, generator = built_of(space), torch.Generator().manual_seed(1)
    costs = [counted(on, found, RELAXATIONS.get(space)) for on in ("params", "macs")]
    shape = (3, found.image_size, found.image_size)
    for _ in range(networks):
        architecture = get_space(space).sample(generator)
        network = build(architecture, 10, found.settings)  # run eight times as fast as on the meta device
        assert [cost.discrete(architecture) for cost in costs] == [count_params(network), count_macs(network, shape)]


@pytest.mark.parametrize("space", ON_IMAGES)
def test_discrete_costs_are_those_of_the_built_network(space: str) -> None:
    check_against_the_counter(space, 2)


@pytest.mark.long
@pytest.mark.parametrize("space", ON_IMAGES)
def test_discrete_costs_of_200_networks_are_those_of_the_built_ones(space: str) -> None:
    check_against_the_counter(space, 200)


@pytest.mark.parametrize("space", RELAXATIONS)
@pytest.mark.parametrize("on", ["params", "macs"])
def test_a_table_of_options_adds_up_to_the_count(space: str, on: str) -> None:
    cost, generator = counted(on, built_of(space), RELAXATIONS[space]), torch.Generator().manual_seed(2)
    assert isinstance(cost, Counted)
    for _ in range(20):
        architecture = get_space(space).sample(generator)
        assert cost.table.discrete(architecture) == pytest.approx(cost.discrete(architecture), rel=1e-9)


def test_expected_cost_of_independent_choices_is_the_mean_over_all_networks() -> None:
    """Two options of each place of a chain: 64 networks."""
    space = get_space("chain_xs")
    cost = counted("macs", built_of("chain_xs"), RELAXATIONS["chain_xs"])
    (gates,) = soft_gates("chain_xs").values()
    kept = [(row % 3, 3 + row % 3) for row in range(6)]
    options = torch.zeros_like(gates.options)
    for row, columns in enumerate(kept):
        options[row, list(columns)] = gates.options.detach()[row, list(columns)]
    options = options / options.sum(-1, keepdim=True)
    mean = math.fsum(
        math.prod(options[row, column].item() for row, column in enumerate(code)) * cost.discrete(space.decode(code))
        for code in itertools.product(*kept)
    )
    assert cost.expected({"slot": Gates(options, gates.weights)}).item() == pytest.approx(mean, rel=1e-6)


def test_expected_cost_in_nasbench201_is_the_mean_over_all_cells() -> None:
    space = get_space("nasbench201")
    cost = counted("params", built_of("nasbench201"), RELAXATIONS["nasbench201"])
    assert isinstance(cost, Counted)
    gates = soft_gates("nasbench201", 1)
    p = gates["cell"].options.detach()
    total = 0.0
    for code in itertools.product(range(5), repeat=6):  # 15,625, by the counts of the space's own closed form
        if max(code) < 3:
            total += math.prod(p[row, column].item() for row, column in enumerate(code)) * cost.discrete(
                space.decode(code)
            )
    left = p.clone()
    left[:, 3:] = 0
    share = left.sum(-1)
    expected = cost.expected({"cell": Gates(left / share[:, None], gates["cell"].weights)}).item() * share.prod().item()
    assert expected == pytest.approx(total, rel=1e-6)


def test_expected_cost_of_cells_is_the_mean_over_drawn_edges() -> None:
    """By the choices' own probabilities, which tests/methods/test_choices.py has from all draws."""
    cost = counted("macs", built_of("darts_cell"), RELAXATIONS["darts_cell"])
    assert isinstance(cost, Counted)
    gates = soft_gates("darts_cell", 2)
    choices = RELAXATIONS["darts_cell"].choices(gates)
    by_hand = cost.table.constant + sum((cost.table.table[kind] * rows).sum().item() for kind, rows in choices.items())
    assert cost.expected(gates).item() == pytest.approx(by_hand, rel=1e-12)


def check_gradient(cost: Cost, gates: dict[str, Gates], step: float = 1e-6) -> None:
    """Of every gate and weight of one kind, against central differences."""
    kind = next(iter(gates))
    tensors: list[Tensor] = [gates[kind].options, gates[kind].weights]
    whole = cost.expected(gates)
    found = torch.autograd.grad(whole, tensors, allow_unused=True)
    for tensor, gradient in zip(tensors, found, strict=True):
        by_difference = torch.zeros_like(tensor)
        with torch.no_grad():
            for place in itertools.product(*map(range, tensor.shape)):
                before = tensor[place].item()
                sides = []
                for sign in (1, -1):
                    tensor[place] = before + sign * step
                    sides.append(cost.expected(gates).item())
                tensor[place] = before
                by_difference[place] = (sides[0] - sides[1]) / (2 * step)
        exact = torch.zeros_like(tensor) if gradient is None else gradient
        torch.testing.assert_close(exact, by_difference, rtol=1e-4, atol=1e-5 * float(whole.detach().abs()))


@pytest.mark.parametrize("space", ["darts_cell", "nasbench201", "chain_xs"])
def test_gradients_are_those_of_finite_differences(space: str) -> None:
    check_gradient(counted("macs", built_of(space), RELAXATIONS[space]), soft_gates(space, 3))


def test_intensity_is_macs_over_bytes_of_the_layers() -> None:
    cost = counted("intensity", Built(10, SMALL, 8))
    architecture = get_space("chain_xs").reference()
    with torch.device("meta"):
        network = build(architecture, 10, SMALL)
    macs, moved = count_macs(network, (3, 8, 8)), 0
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):

            def count(layer: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                nonlocal moved
                moved += 4 * (inputs[0].numel() + output.numel() + sum(p.numel() for p in layer.parameters()))

            module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, 8, 8, device="meta"))
    assert cost.discrete(architecture) == macs / moved
    assert counted("bytes_per_mac", Built(10, SMALL, 8)).discrete(architecture) == moved / macs


def test_effective_shapes_are_exact_where_widths_are_independent_and_a_table_where_they_are_tied() -> None:
    widths, sides = (8.0, 16.0, 24.0, 32.0), (8.0, 12.0, 16.0)

    def factor(choice: str) -> Factor:
        return Factor(widths, choice)

    pixels = (Factor(sides, "side"), Factor(sides, "side"))
    layers = [
        Product((Factor((3.0,)), factor("a"), *pixels), 9),
        Product((factor("a"), factor("b"), *pixels), 9),
        Product((factor("b"), factor("b"), *pixels), 9),  # inside of a residual stage
    ]
    generator = torch.Generator().manual_seed(0)
    sizes = {"a": 4, "b": 4, "side": 3}
    p = {name: torch.rand(n, generator=generator, dtype=torch.float64).softmax(0) for name, n in sizes.items()}
    mean = 0.0
    for code in itertools.product(*map(range, sizes.values())):
        options = dict(zip(sizes, code, strict=True))
        probability = math.prod(p[name][option].item() for name, option in options.items())
        mean += probability * sum(layer.discrete(options) for layer in layers)
    assert expected_macs(layers, p).item() == pytest.approx(mean, rel=1e-9)
    uniform = torch.full((4,), 0.25, dtype=torch.float64)
    tied = Product((factor("b"), factor("b"))).expected({"b": uniform}).item()
    assert Product((factor("a"), factor("b"))).expected({"a": uniform, "b": uniform}).item() / tied == pytest.approx(
        0.833, abs=1e-3
    )  # what effective shapes would say of the tied one: too little


class Sum:
    """A cost with a known gradient: the sum of the gates of the first option."""

    name, unit, told = "first", "options", {}

    def discrete(self, architecture: Architecture) -> float:
        return RELAXATIONS["chain_xs"].chosen(architecture)["slot"][:, 0].sum().item()

    def expected(self, gates: dict[str, Gates]) -> Tensor:
        return gates["slot"].options[:, 0].sum()

    def to(self, device: torch.device) -> None: ...


def priced(rule: object, at_most: float | None = None) -> tuple[list[Tensor], Tensor]:
    """The gradient of alpha with a rule, and the task's."""
    relaxed = RELAXATIONS["chain_xs"]
    alpha = torch.linspace(-1, 1, 42, dtype=torch.float64).view(6, 7).requires_grad_()
    objective = Objective(relaxed, Sum(), rule, at_most)  # type: ignore[arg-type]
    task = torch.ones_like(alpha)

    def gates() -> dict[str, Gates]:
        return {"slot": Gates(alpha.softmax(-1), torch.ones(6).double())}

    found = list(objective.gradients([task], torch.tensor(2.0), [alpha], gates))
    expected = Sum().expected(gates())
    (by_cost,) = torch.autograd.grad(expected, [alpha])
    return [*found, expected.detach()], by_cost


def test_rules_give_the_gradients_of_their_formulas() -> None:
    (watched, _), by_cost = priced(Watching())
    assert torch.equal(watched, torch.ones_like(by_cost))
    (found, _), by_cost = priced(WeightedSum(0.5, 4.0))
    torch.testing.assert_close(found, 1 + 0.5 / 4.0 * by_cost)
    multiplier = Multiplier(2.0, 0.1)
    (found, _), by_cost = priced(multiplier)
    assert multiplier.pressure == 0  # nothing derived has the first option
    torch.testing.assert_close(found, torch.ones_like(by_cost))


def test_log_ratio_multiplies_the_loss() -> None:
    ratio = LogRatio(0.3, 80.0, 0.2)
    loss, cost = torch.tensor(2.0, requires_grad=True), torch.tensor(100.0, requires_grad=True)
    whole = ratio(loss, cost)
    assert whole.item() == pytest.approx(0.2 * 2.0 * (math.log(100) / math.log(80)) ** 0.3)
    by_loss, by_cost = torch.autograd.grad(whole, [loss, cost])
    assert by_loss.item() == pytest.approx(whole.item() / 2.0)
    assert by_cost.item() == pytest.approx(whole.item() * 0.3 / (100 * math.log(100)))


def test_the_multiplier_rises_above_the_bound_and_falls_below_it_to_zero() -> None:
    multiplier = Multiplier(10.0, 0.5)
    for over, value in ((20.0, 0.5), (15.0, 0.75), (5.0, 0.5), (1.0, 0.05), (1.0, 0.0)):
        multiplier.learn(lambda over=over: torch.tensor(over))  # type: ignore[misc]
        assert multiplier.pressure == pytest.approx(value, abs=1e-6)
    other = Multiplier(10.0, 0.5)
    multiplier.learn(lambda: torch.tensor(20.0))
    other.load_state_dict(multiplier.state_dict())
    assert other.pressure == multiplier.pressure


@pytest.mark.parametrize("space", ["darts_cell", "nasbench201", "chain_xs"])
def test_what_is_derived_keeps_the_bound(space: str) -> None:
    relaxed, cost = RELAXATIONS[space], counted("macs", built_of(space), RELAXATIONS[space])
    gates = soft_gates(space, 5)
    free = cost.discrete(relaxed.derive(gates))
    assert derive_within(relaxed, gates, cost, free).changes == 0
    bound = 0.85 * free
    kept = derive_within(relaxed, gates, cost, bound)
    assert kept.met
    assert kept.changes
    assert kept.cost == cost.discrete(kept.architecture) <= bound
    none = derive_within(relaxed, gates, cost, 1.0)
    assert not none.met
    assert none.cost > 1.0


def test_the_strongest_network_within_the_bound_is_near_the_best_of_all() -> None:
    """Of the 15,625 cells, by enumeration."""
    relaxed, space = RELAXATIONS["nasbench201"], get_space("nasbench201")
    cost = counted("params", built_of("nasbench201"), relaxed)
    assert isinstance(cost, Counted)
    gates = soft_gates("nasbench201", 7)
    logs, table = gates["cell"].options.detach().log(), cost.table.table["cell"]
    codes = torch.cartesian_prod(*[torch.arange(5)] * 6)
    rows = torch.arange(6)
    strength, price = logs[rows, codes].sum(-1), table[rows, codes].sum(-1) + cost.table.constant
    bound = price.median().item()
    best = strength[price <= bound].max().item()
    kept = derive_within(relaxed, gates, cost, bound)
    found = strength[(codes == torch.tensor(space.encode(kept.architecture))).all(-1)].item()
    assert kept.met
    assert found >= best - 0.5  # within a factor of e^.5 of the likeliest


def test_the_reference_is_the_bound_or_the_cost_of_equal_gates() -> None:
    relaxed = RELAXATIONS["chain_xs"]
    cost = counted("params", built_of("chain_xs"), relaxed)

    def rule(term: CostTerm) -> object:
        return term.objective(relaxed).rule

    assert rule(CostTerm(lambda _: cost, at_most=5e4)) == WeightedSum(0.1, 5e4)
    equal = cost.expected(equal_gates(relaxed.topology)).item()
    assert rule(CostTerm(lambda _: cost, "log_ratio", weight=0.3)) == LogRatio(0.3, equal, 0.2)
