"""Encodings and predictors of latency: discrete and relaxed architectures, gradients, and what is refused."""

from __future__ import annotations

import pytest
import torch

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.costs.encodings import Way, encoding_of
from methods.parts.costs.fitted import FittedCost, restored
from methods.parts.costs.predictors import KINDS, Graph, Logarithmic, Perceptron
from methods.parts.costs.regression import fit_table, learn
from methods.parts.gates import Gates, straight_through
from methods.spaces import get_space
from methods.spaces.decisions import SubsetDecision
from methods.spaces.supernets import RELAXATIONS
from methods.spaces.width_supernet import width_relaxation

SPACES = ("chain_xs", "darts_cell", "nasbench201")


def gates_of(space: str, seed: int = 0, sharpness: float = 1.0) -> dict[str, Gates]:
    topology = RELAXATIONS[space].topology
    generator = torch.Generator().manual_seed(seed)
    _, decisions, options = topology.shape
    absent = torch.zeros(decisions, options, dtype=torch.bool)
    for place in topology.absent:
        absent[place] = True

    def one() -> Gates:
        alpha = sharpness * torch.randn(decisions, options, generator=generator, dtype=torch.float64)
        return Gates(alpha.masked_fill(absent, -torch.inf).softmax(dim=-1), torch.ones(decisions, dtype=torch.float64))

    return {kind: one() for kind in topology.kinds}


def cost_of(space: str, kind: str, way: str = "soft") -> FittedCost:
    torch.manual_seed(0)
    encoding = encoding_of(space, way)  # type: ignore[arg-type]
    predictor = KINDS[kind](encoding)
    if not isinstance(predictor, Logarithmic):
        predictor.get_buffer("options").copy_(torch.rand(encoding.size))
    return FittedCost(encoding, predictor.requires_grad_(False), "ms")


def test_a_cell_is_224_numbers_with_an_absent_edge_among_them() -> None:
    encoding = encoding_of("darts_cell")
    assert encoding.size == 2 * 14 * 8
    found = encoding.discrete(get_space("darts_cell").reference()).view(2, 14, 8)
    assert bool((found.sum(dim=-1) == 1).all())
    assert found[..., 1:].sum().item() == 16


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", KINDS)
def test_hard_gates_cost_what_their_architecture_does(space: str, kind: str) -> None:
    cost, relaxed = cost_of(space, kind), RELAXATIONS[space]
    soft = gates_of(space)
    derived = relaxed.derive(soft)
    choices = relaxed.chosen(derived)
    hard = {k: Gates(rows.double(), torch.ones(len(rows), dtype=torch.float64)) for k, rows in choices.items()}
    assert cost.expected(hard).item() == pytest.approx(cost.discrete(derived), rel=1e-5)
    through = cost_of(space, kind, "straight_through")
    assert through.expected(soft).item() == pytest.approx(cost.discrete(derived), rel=1e-5)
    assert through.expected(soft).item() != pytest.approx(cost.expected(soft).item(), rel=1e-4)


@pytest.mark.parametrize("way", ["soft", "straight_through"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_reaches_options_and_weights(kind: str, way: str) -> None:
    cost, gates = cost_of("darts_cell", kind, way), gates_of("darts_cell")
    leaves = {
        k: Gates(g.options.clone().requires_grad_(), g.weights.clone().requires_grad_()) for k, g in gates.items()
    }
    value = cost.expected(leaves)
    assert value.shape == ()
    value.backward()
    for each in leaves.values():
        assert each.options.grad is not None
        assert each.weights.grad is not None
        assert bool(each.options.grad.abs().sum() > 0)
        assert bool(each.weights.grad.abs().sum() > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    cost = cost_of("chain_xs", kind)
    cost.predictor.double()
    gates = gates_of("chain_xs")["slot"]
    options = gates.options.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost.expected({"slot": Gates(options, gates.weights)}), options)
    direction = torch.randn(options.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-5
    ends = [
        cost.expected({"slot": Gates(gates.options + sign * step * direction, gates.weights)}).item()
        for sign in (1, -1)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-9)


def test_a_table_of_independent_choices_is_the_mean_over_all_architectures() -> None:
    """The mean over all 63,504 chains by their probabilities factorises; here over draws of one place at a time."""
    cost, relaxed = cost_of("chain_xs", "table"), RELAXATIONS["chain_xs"]
    gates = gates_of("chain_xs")["slot"]
    base = straight_through(gates.options, gates.options.argmax(dim=-1)).detach()
    place = 2
    mixed = base.clone()
    mixed[place] = gates.options[place]
    total = 0.0
    for option, probability in enumerate(gates.options[place].tolist()):
        if probability > 0:
            one = base.clone()
            one[place] = 0.0
            one[place, option] = 1.0
            total += probability * cost.discrete(relaxed.derive({"slot": Gates(one, gates.weights)}))
    assert cost.expected({"slot": Gates(mixed, gates.weights)}).item() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("space", ["chain_xs_widths", "resnet_widths"])
@pytest.mark.parametrize("way", ["soft", "straight_through"])
def test_gates_of_widths_are_read_as_the_networks_that_were_measured(space: str, way: Way) -> None:
    """FBNetV2's: a table's expectation is the sum over decisions of the mean over their options."""
    relaxed, generator = width_relaxation(space), torch.Generator().manual_seed(5)
    encoding, measured = encoding_of(space, way, relaxed), encoding_of(space)
    predictor = KINDS["table"](measured)
    predictor.get_buffer("options").copy_(torch.rand(measured.size, generator=generator))
    cost = FittedCost(encoding, predictor.requires_grad_(False), "ms")
    (kind,), (_, decisions, columns) = relaxed.topology.kinds, relaxed.topology.shape
    alpha = torch.randn(decisions, columns, generator=generator).requires_grad_()
    there = torch.ones(decisions, columns, dtype=torch.bool)
    for place in relaxed.topology.absent:
        there[place] = False
    gates = {kind: Gates(alpha.masked_fill(~there, -torch.inf).softmax(-1), torch.ones(decisions))}
    derived = relaxed.derive(gates)
    assert torch.equal(encoding.discrete(derived), measured.discrete(derived))
    assert cost.expected(relaxed.hard(gates)).item() == pytest.approx(cost.discrete(derived), rel=1e-6)
    table = predictor.get_buffer("options").split([len(each.options) for each in get_space(space).decisions()])
    means = [(gates[kind].options[row, : len(each)] * each).sum() for row, each in enumerate(table)]
    wanted = cost.discrete(derived) if way == "straight_through" else sum(each.item() for each in means)
    assert cost.expected(gates).item() == pytest.approx(wanted, rel=1e-5)
    (gradient,) = torch.autograd.grad(cost.expected(gates), alpha, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(sum(means), alpha)[0])


def test_of_a_subset_every_item_is_in_it_or_is_not() -> None:
    space, encoding = get_space("dense_chain_xs"), encoding_of("dense_chain_xs")
    decisions = space.decisions()
    architecture = space.sample(torch.Generator().manual_seed(0))
    numbers, place = encoding.discrete(architecture), 0
    for decision, option in zip(decisions, space.encode(architecture), strict=True):
        assert isinstance(decision, SubsetDecision)
        items = numbers[place : (place := place + len(decision.options.items))]
        assert items.tolist() == [float(item in decision.options[option]) for item in decision.options.items]
    assert place == encoding.size


def test_a_slow_operation_for_a_skip_lowers_a_learned_prediction() -> None:
    """Fitted where separable convolutions of five pixels take long."""
    encoding, space = encoding_of("darts_cell"), get_space("darts_cell")
    generator = torch.Generator().manual_seed(0)
    drawn = [space.sample(generator) for _ in range(150)]
    slow = [str(each.genotype).count("sep_conv_5x5") for each in drawn]
    x = torch.stack([encoding.discrete(each) for each in drawn])
    torch.manual_seed(0)
    predictor = Perceptron(encoding.size, (16, 8))
    learn(predictor, x, 5.0 + torch.tensor(slow).double(), seed=0, epochs=60)
    cost = FittedCost(encoding, predictor, "ms")
    relaxed = RELAXATIONS["darts_cell"]
    names = relaxed.topology.operations
    rows = {kind: each.double() for kind, each in relaxed.chosen(space.reference()).items()}
    rows["normal"][0] = 0.0
    rows["normal"][0, names.index("sep_conv_5x5")] = 1.0
    options = {kind: each.requires_grad_() for kind, each in rows.items()}
    cost.expected({kind: Gates(each, torch.ones(14).double()) for kind, each in options.items()}).backward()
    gradient = options["normal"].grad
    assert gradient is not None
    assert gradient[0, names.index("sep_conv_5x5")] > gradient[0, names.index("skip_connect")]


def test_ridge_recovers_a_table_from_fewer_networks_than_numbers() -> None:
    encoding, space = encoding_of("chain_xs"), get_space("chain_xs")
    generator = torch.Generator().manual_seed(0)
    x = torch.stack([encoding.discrete(space.sample(generator)) for _ in range(200)])
    table = torch.rand(encoding.size, dtype=torch.float64, generator=generator)
    y = 2.0 + x.double() @ table
    found = fit_table(x[:100], y[:100])
    assert (found(x[100:]) / y[100:] - 1).abs().max().item() < 1e-3


def test_learning_is_deterministic_and_keeps_the_best_epoch() -> None:
    encoding, space = encoding_of("nasbench201"), get_space("nasbench201")
    generator = torch.Generator().manual_seed(0)
    x = torch.stack([encoding.discrete(space.sample(generator)) for _ in range(250)])
    places, options = (torch.rand(n, 1, dtype=torch.float64, generator=generator) for n in (6, 5))
    y = 1.0 + x.double() @ (places * options.T).flatten()
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        topology = encoding.topology
        assert topology is not None
        predictor = Graph(topology, width=16, layers=1)
        learn(predictor, x, y, seed=0, epochs=120)
        found.append(predictor(x))
    assert torch.equal(*found)
    constant = (y / y.mean() - 1).abs().mean()
    assert (found[0] / y - 1).abs().mean() < 0.7 * constant


def test_what_no_decision_describes_is_refused() -> None:
    cost = cost_of("chain_xs", "table")
    with pytest.raises(MethodError, match="networks of chain_xs, not of 'nasbench201'"):
        cost.discrete(get_space("nasbench201").reference())
    wider = Architecture("chain_xs", get_space("chain_xs").reference().genotype, scale={"channels": 16})
    with pytest.raises(MethodError, match="scale of its own"):
        cost.discrete(wider)
    with pytest.raises(MethodError, match="needs cells of kind 'reduce'"):
        cost_of("darts_cell", "mlp").expected({"normal": gates_of("darts_cell")["normal"]})
    with pytest.raises(MethodError, match="no relaxation"):
        encoding_of("nasbench_macro").expected({})
    with pytest.raises(MethodError, match="networks with other decisions"):
        encoding_of("chain_s_widths", relaxed=width_relaxation("chain_xs_widths"))
    with pytest.raises(MethodError, match="does not fit this version"):
        restored("table", "chain_xs", {"constant": torch.zeros(())}, "ms", {})
    with pytest.raises(MethodError, match="unknown predictor 'tree'"):
        restored("tree", "chain_xs", {}, "ms", {})
