"""What gates say of the derived architecture, against a draw written out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from methods.parts.choices import two_edges, two_pairs
from methods.parts.gates import Gates
from methods.spaces import get_space
from methods.spaces.cell.supernet import derive_pairs
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.supernets import RELAXATIONS

NODE = 4
"""The one looked at, which three or four edges enter."""


def drawn_gates(seed: int, spread: float = 1.0) -> dict[str, Gates]:
    generator = torch.Generator().manual_seed(seed)
    shape = TOPOLOGY.shape[1:]

    def one() -> Gates:
        options = (spread * torch.randn(shape, generator=generator, dtype=torch.float64)).softmax(-1)
        return Gates(options, torch.rand(shape[0], generator=generator, dtype=torch.float64))

    return {kind: one() for kind in TOPOLOGY.kinds}


def strengths(gates: Gates) -> Tensor:
    """(edges into the node, seven operations)."""
    return (gates.options * gates.weights[:, None])[TOPOLOGY.entering(NODE), 1:]


def draws(gates: Gates, same_edge: bool) -> Iterator[tuple[float, list[tuple[int, int]]]]:
    """Every way to draw two pairs one after the other, with its probability."""
    strength = strengths(gates)
    pairs = list(itertools.product(range(len(strength)), range(7)))
    for one, other in itertools.permutations(pairs, 2):
        if not same_edge and one[0] == other[0]:
            continue
        left = strength.sum() - (strength[one] if same_edge else strength[one[0]].sum())
        yield (strength[one] / strength.sum() * strength[other] / left).item(), [one, other]


@pytest.mark.parametrize(("choices", "same_edge"), [(two_edges, False), (two_pairs, True)])
def test_expected_choices_are_the_mean_over_all_draws(choices: object, same_edge: bool) -> None:
    gates = drawn_gates(0)
    mean, total = torch.zeros(len(TOPOLOGY.entering(NODE)), 7, dtype=torch.float64), 0.0
    for probability, drawn in draws(gates["normal"], same_edge):
        total += probability
        for pair in drawn:
            mean[pair] += probability
    found = choices(gates, TOPOLOGY)["normal"][TOPOLOGY.entering(NODE)]  # type: ignore[operator]
    assert total == pytest.approx(1)
    torch.testing.assert_close(found[:, 1:], mean, rtol=1e-9, atol=1e-12)


def test_an_edge_is_there_or_is_not() -> None:
    found = two_edges(drawn_gates(1), TOPOLOGY)["reduce"]
    torch.testing.assert_close(found.sum(-1), torch.ones(14, dtype=torch.float64))
    assert found[TOPOLOGY.entering(2), 0].tolist() == pytest.approx([0, 0], abs=1e-12)  # both inputs of the first node


@pytest.mark.parametrize("space", RELAXATIONS)
def test_one_hot_gates_give_the_choices_of_their_architecture(space: str) -> None:
    relaxed, generator = RELAXATIONS[space], torch.Generator().manual_seed(3)
    for _ in range(20):
        choices = relaxed.chosen(get_space(space).sample(generator))
        gates = {kind: Gates(each, torch.ones(len(each)).double()) for kind, each in choices.items()}
        for kind, found in relaxed.choices(gates).items():
            assert torch.equal(found.round(decimals=9), choices[kind])
        assert all(torch.equal(relaxed.chosen(relaxed.derive(gates))[kind], choices[kind]) for kind in choices)


def test_two_operations_of_one_edge_are_both_there() -> None:
    options = torch.zeros(14, 8, dtype=torch.float64)
    options[:, 1] = 1e-30
    options[:2, 3:5], options[2:, 4] = torch.tensor([[0.5, 0.5], [0.0, 0.0]], dtype=torch.float64), 1.0
    gates = Gates(options, torch.ones(14, dtype=torch.float64))
    found = two_pairs({"normal": gates}, TOPOLOGY)["normal"]
    cell = derive_pairs({"normal": gates, "reduce": gates})
    assert found[0].round(decimals=9).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert cell.genotype["normal"]["edges"][:2] == [["skip_connect", 0, 2], ["sep_conv_3x3", 0, 2]]


def test_gradients_are_finite_where_one_edge_has_all_the_strength() -> None:
    options = torch.zeros(14, 8)
    options[:, 1] = 1.0
    weights = torch.zeros(14)
    weights[TOPOLOGY.entering(5)[0]] = 1.0
    gates = Gates(options.requires_grad_(), weights.requires_grad_())
    two_edges({"normal": gates}, TOPOLOGY)["normal"].square().sum().backward()
    assert options.grad is not None
    assert weights.grad is not None
    assert bool(options.grad.isfinite().all())
    assert bool(weights.grad.isfinite().all())
