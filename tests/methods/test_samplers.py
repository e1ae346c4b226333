"""What samplers draw, how often, and what gradient a draw has: against closed forms, by thousands of draws at once."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from torch import Tensor

from methods.parts.gates import Gates, Logits, straight_through
from methods.parts.samplers.controller import Controller
from methods.parts.samplers.exclusive import Exclusive
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.parts.samplers.multinomial import Multinomial
from methods.parts.samplers.ordered import OrderedPass
from methods.parts.samplers.two_paths import TwoPaths, keep_the_others

DRAWS = 20_000
ALPHA = torch.tensor([0.4, -1.0, 1.3, 0.1])
P = ALPHA.softmax(0)


def many(alpha: Tensor = ALPHA) -> Logits:
    """The same decision, many times: a draw for each."""
    return Logits(alpha.expand(DRAWS, -1), torch.ones(DRAWS))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_often_as(chosen: tuple[int, ...], probabilities: Tensor) -> None:
    """Within five standard errors; an option without probability never."""
    found = torch.bincount(torch.tensor(chosen), minlength=len(probabilities)) / len(chosen)
    error = (probabilities * (1 - probabilities) / len(chosen)).sqrt()
    assert bool(((found - probabilities).abs() <= 5 * error).all()), (found, probabilities)


@pytest.mark.parametrize("temperature", [10.0, 1.0, 0.1])
def test_hard_gumbel_draws_by_the_probabilities_at_every_temperature(temperature: float) -> None:
    gates = HardGumbel(seeded(), temperature)(many())
    as_often_as(gates.chosen, P)
    one_hot = torch.nn.functional.one_hot(torch.tensor(gates.chosen), 4).float()
    assert torch.equal(gates.options, one_hot)  # exactly 0 and 1: not a bit besides


def test_straight_through_gates_are_exact_at_every_probability() -> None:
    p = torch.cat([torch.logspace(-40, 0, 100_000), 1 - torch.logspace(-40, 0, 100_000)])
    both = torch.stack([p, 1 - p], dim=1)
    gates = straight_through(both, torch.zeros(len(both), dtype=torch.int64))
    assert torch.equal(gates, torch.tensor([1.0, 0.0]).expand_as(gates))


def test_every_option_has_the_gradient_of_the_relaxed_draw() -> None:
    """GDAS, equation 5: of the softmax of (log p + noise) / tau, whatever was chosen."""
    alpha, upstream = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    gates = HardGumbel(seeded(), 0.7)(Logits(alpha, torch.ones(5)))
    (found,) = torch.autograd.grad((gates.options * upstream).sum(), alpha)
    noise = -torch.empty(5, 4).exponential_(generator=seeded()).log()
    relaxed = ((alpha.log_softmax(1) + noise) / 0.7).softmax(1)
    (wanted,) = torch.autograd.grad((relaxed * upstream).sum(), alpha)
    torch.testing.assert_close(found, wanted)
    unchosen = torch.ones(5, 4, dtype=torch.bool)
    unchosen[range(5), gates.chosen] = False
    assert bool((found[unchosen] != 0).all())


SAMPLERS = [HardGumbel(seeded()), Multinomial(seeded()), TwoPaths(seeded()), OrderedPass(seeded())]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_an_option_that_a_decision_has_not_is_never_chosen(sampler) -> None:
    alpha = torch.tensor([[0.1, -torch.inf, 0.3], [0.0, 0.0, 0.0], [0.0, -torch.inf, -torch.inf]], requires_grad=True)
    for _ in range(50):
        gates = sampler(Logits(alpha, torch.ones(3)))
        assert gates.chosen[0] != 1
        assert gates.chosen[2] == 0
        assert all(1 not in row for row in gates.compared[:1])
        assert all(row == () for row in gates.compared[2:])
        (gradient,) = torch.autograd.grad((gates.options * torch.randn(3, 3)).sum(), alpha)
        assert bool(gradient.isfinite().all())
        assert gradient[0, 1] == 0


def test_binary_gates_have_the_published_chain_rule() -> None:
    """ProxylessNAS, equation 4, written out."""
    alpha, upstream = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    gates = Multinomial(seeded())(Logits(alpha, torch.ones(3)))
    (found,) = torch.autograd.grad((gates.options * upstream).sum(), alpha)
    p = alpha.detach().softmax(1)
    wanted = torch.zeros(3, 4)
    for d, i, j in itertools.product(range(3), range(4), range(4)):
        wanted[d, i] += upstream[d, j] * p[d, j] * (float(i == j) - p[d, i])
    torch.testing.assert_close(found, wanted)
    assert all({chosen, *rest} == set(range(4)) for chosen, rest in zip(gates.chosen, gates.compared, strict=True))
    as_often_as(Multinomial(seeded())(many()).chosen, P)
    assert Multinomial(seeded())(many()).compared == ()  # of weights alone


def test_two_paths_are_drawn_without_replacement_and_run_by_the_softmax_over_the_two() -> None:
    gates = TwoPaths(seeded())(many())
    pairs = Counter((chosen, *second) for chosen, second in zip(gates.chosen, gates.compared, strict=True))
    codes = list(itertools.permutations(range(4), 2))
    drawn = [P[i] * P[j] / (1 - P[i]) + P[j] * P[i] / (1 - P[j]) for i, j in codes]
    wanted = torch.stack([both * P[i] / (P[i] + P[j]) for both, (i, j) in zip(drawn, codes, strict=True)])
    assert wanted.sum().item() == pytest.approx(1)
    as_often_as(tuple(n for n, code in enumerate(codes) for _ in range(pairs[code])), wanted)


def test_the_two_path_update_leaves_the_others_probabilities() -> None:
    alpha = torch.randn(6, 5, requires_grad=True)
    gates = TwoPaths(seeded())(Logits(alpha, torch.ones(6)))
    (gradient,) = torch.autograd.grad((gates.options * torch.randn(6, 5)).sum(), alpha)
    pair = torch.zeros(6, 5, dtype=torch.bool)
    for row, (chosen, second) in enumerate(zip(gates.chosen, gates.compared, strict=True)):
        pair[row, [chosen, *second]] = True
    assert bool((gradient[~pair] == 0).all())
    before = alpha.detach().clone()
    with torch.no_grad():
        alpha += torch.randn(6, 5)  # any optimiser, also one that moves the others by their momenta
    relative = (alpha.detach() - alpha.detach().masked_fill(~pair, -torch.inf).logsumexp(1, keepdim=True))[pair]
    keep_the_others(alpha, before, gates)
    torch.testing.assert_close(alpha.softmax(1)[~pair], before.softmax(1)[~pair], rtol=0, atol=1e-7)
    own = (alpha.detach() - alpha.detach().masked_fill(~pair, -torch.inf).logsumexp(1, keepdim=True))[pair]
    torch.testing.assert_close(own, relative)
    assert not torch.allclose(alpha.softmax(1)[pair], before.softmax(1)[pair])


def test_exclusive_draws_follow_plackett_luce() -> None:
    paths = Exclusive(seeded(), 3, temperature=0.5)(many())
    orders = Counter(zip(*(path.chosen for path in paths), strict=True))
    codes = list(itertools.permutations(range(4), 3))
    assert set(orders) <= set(codes)  # no option twice
    wanted = torch.stack([P[i] * P[j] / (1 - P[i]) * P[k] / (1 - P[i] - P[j]) for i, j, k in codes])
    as_often_as(tuple(n for n, code in enumerate(codes) for _ in range(orders[code])), wanted)


def test_one_exclusive_path_is_hard_gumbel_to_the_bit_and_all_of_them_cover_everything() -> None:
    alpha = torch.randn(7, 4, requires_grad=True)
    logits = Logits(alpha, torch.ones(7))
    (one,), alone = Exclusive(seeded(), 1, 0.3)(logits), HardGumbel(seeded(), 0.3)(logits)
    assert one.chosen == alone.chosen
    upstream = torch.randn(7, 4)
    gradients = [torch.autograd.grad((each.options * upstream).sum(), alpha)[0] for each in (one, alone)]
    assert torch.equal(*gradients)
    every = Exclusive(seeded(), 4, 0.3)(logits)
    assert all(sorted(row) == [0, 1, 2, 3] for row in zip(*(path.chosen for path in every), strict=True))


def test_exclusive_gradients_are_those_over_what_is_left() -> None:
    alpha = torch.randn(1, 3, requires_grad=True)
    first, second, third = Exclusive(seeded(), 3, 1.0)(Logits(alpha, torch.ones(1)))
    (gradient,) = torch.autograd.grad((second.options * torch.tensor([1.0, -2.0, 3.0])).sum(), alpha, retain_graph=True)
    torch.testing.assert_close(gradient[0, first.chosen[0]], torch.tensor(0.0), rtol=0, atol=1e-6)
    assert bool((gradient[0, [second.chosen[0], third.chosen[0]]].abs() > 1e-3).all())
    (gradient,) = torch.autograd.grad((third.options * torch.tensor([1.0, -2.0, 3.0])).sum(), alpha)
    torch.testing.assert_close(gradient, torch.zeros(1, 3), rtol=0, atol=1e-6)  # one is left: nothing to prefer


def test_a_decision_with_fewer_options_than_paths_begins_again() -> None:
    alpha = torch.tensor([[0.0, -torch.inf, 0.0], [0.0, 0.0, 0.0]])
    order = [path.chosen[0] for path in Exclusive(seeded(), 3, 1.0)(Logits(alpha, torch.ones(2)))]
    assert sorted(order[:2]) == [0, 2]
    assert order[2] == order[0]


def test_the_ordered_pass_chooses_every_option_exactly_once_a_round() -> None:
    rounds, counts = 50, Counter()
    logits = Logits(torch.randn(3, 4), torch.ones(3))
    sampler, orders = OrderedPass(seeded()), set()
    for _ in range(rounds):
        drawn = [sampler(logits).chosen for _ in range(4)]
        orders.add(tuple(drawn))
        counts.update((row, option) for chosen in drawn for row, option in enumerate(chosen))
    assert counts == {(row, option): rounds for row in range(3) for option in range(4)}
    assert len(orders) > rounds / 2  # drawn anew
    assert len({row for chosen in orders for row in zip(*chosen, strict=True)}) > 12


def test_an_ordered_pass_goes_on_inside_of_a_round() -> None:
    logits, whole = Logits(torch.zeros(5, 4), torch.ones(5)), OrderedPass(seeded())
    for _ in range(6):
        whole(logits)
    again = OrderedPass(torch.Generator())
    again.load_state_dict(whole.state_dict())
    again.generator.set_state(whole.generator.get_state())
    assert [again(logits).chosen for _ in range(9)] == [whole(logits).chosen for _ in range(9)]


def test_the_controller_draws_by_its_probabilities() -> None:
    """Every code as often as the probability it is drawn with, which adds up to one over all codes."""
    torch.manual_seed(0)
    controller = Controller((2, 3), ("edges", "operations"), seeded(), units=4, temperature=0.05, bound=0.7)
    with torch.no_grad():
        draws = [controller() for _ in range(1000)]
    probability = {draw.code: draw.log_probability.exp() for draw in draws}
    codes = list(itertools.product(range(2), range(3)))
    wanted = torch.stack([probability[code] for code in codes])
    assert wanted.sum().item() == pytest.approx(1, abs=1e-5)
    assert wanted.max() > 1.2 * wanted.min()
    as_often_as(tuple(codes.index(draw.code) for draw in draws), wanted)
    marginal = torch.stack([wanted[:3].sum(), wanted[3:].sum()])
    torch.testing.assert_close(draws[0].entropies[0], -(marginal * marginal.log()).sum(), rtol=1e-4, atol=1e-5)


def test_decisions_of_one_group_share_the_controllers_outputs() -> None:
    controller = Controller((5,) * 6, ("cell",) * 6, seeded())
    assert [tuple(layer.weight.shape) for layer in controller.outputs] == [(5, 32)]
    draw = controller()
    draw.log_probability.backward()
    assert all(parameter.grad is not None for parameter in controller.parameters())


def test_rows_of_gates_keep_what_was_chosen() -> None:
    gates = Gates(torch.eye(3), torch.arange(3.0), (0, 1, 2), ((1,), (), (0, 1)))
    rows = gates.rows([2, 0], torch.tensor([2, 0]))
    assert (rows.chosen, rows.compared) == ((2, 0), ((0, 1), (1,)))
    assert torch.equal(rows.options, torch.eye(3)[[2, 0]])
    soft = Gates(torch.eye(3), torch.ones(3)).rows([1], torch.tensor([1]))
    assert (soft.chosen, soft.compared) == (None, ())
