"""EPNAS: the policy gradient finds a bandit's optimum, and whatever is returned keeps all constraints."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from methods.base import MethodError
from methods.parts.costs.counts import layer_bytes
from methods.parts.counts import count_macs, count_params
from methods.sampling.edit_policy import EditPolicy, Learning
from methods.sampling.epnas import EPNAS, EPNASOptions
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.decisions import Code, neighbours, neutral_code
from tests.contracts.scores import score_of
from tests.methods.sampling.landscapes import NB201, TinySpace, context, landscape, run

SPACE = get_space(NB201)
SCORES = landscape(SPACE, rugged=0.2)


def epnas(seed: int = 0, space: str = NB201, **options: Any) -> EPNAS:
    return EPNAS(EPNASOptions(space=space, **options), context(seed))


def policy(**learning: Any) -> EditPolicy:
    return EditPolicy(TinySpace(), Learning(**learning), torch.Generator().manual_seed(0))


def test_an_edit_changes_one_open_decision() -> None:
    found = policy().log_probabilities((1, 0, 2), 2).exp()
    assert found.sum().item() == pytest.approx(1)
    allowed = {(0, 0), (0, 2), (1, 1)}  # neither what is there, nor the third decision, nor what b has not
    assert {tuple(place) for place in found.nonzero().tolist()} == allowed
    drawn = policy().draw((1, 0, 2), 2, 600)
    assert set(drawn) == allowed
    shares = {edit: drawn.count(edit) / 600 for edit in allowed}
    assert shares == pytest.approx({edit: found[edit].item() for edit in allowed}, abs=0.08)


@pytest.mark.parametrize(
    "optimum", [(2, 3), *(pytest.param(each, marks=pytest.mark.long) for each in ((0, 2), (1, 1)))]
)
def test_the_policy_gradient_finds_the_optimum_of_a_bandit(optimum: tuple[int, int]) -> None:
    learned, here = policy(), (0, 0, 0)
    before = learned.log_probabilities(here, 3).exp()[optimum].item()
    for _ in range(120):
        edits = learned.draw(here, 3, 4)
        learned.learn([(here, 3, edit, float(edit == optimum)) for edit in edits])
    after = learned.log_probabilities(here, 3).exp()
    assert before < 0.4
    assert after[optimum].item() > 0.8


def test_its_gradient_is_that_of_reinforce() -> None:
    """Minus advantage times log-probability, less the entropy bonus; the baseline has not seen the reward."""
    learned = policy(entropy=0.0, momentum=0.5)
    assert learned.advantage(2.0) == 0.0
    assert learned.advantage(3.0) == pytest.approx(1.0)
    assert learned.advantage(3.0) == pytest.approx(3.0 - (0.25 * 2 + 0.5 * 3) / 0.75)
    other = policy(entropy=0.0, momentum=0.5)
    other.advantage(1.0)
    expected = torch.autograd.grad(
        -2.0 * other.log_probabilities((0, 0, 0), 3)[1, 1], other.reader.place, retain_graph=True
    )[0]
    other.learn([((0, 0, 0), 3, (1, 1), 3.0)])
    assert other.reader.place.grad is not None
    torch.testing.assert_close(other.reader.place.grad, expected)


def test_with_equal_rewards_only_the_bonus_moves_it() -> None:
    learned = policy(entropy=0.0)
    before = [parameter.clone() for parameter in learned.reader.parameters()]
    for _ in range(5):
        learned.learn([((0, 0, 0), 3, edit, 0.7) for edit in learned.draw((0, 0, 0), 3, 3)])
    for old, new in zip(before, learned.reader.parameters(), strict=True):
        torch.testing.assert_close(old, new.detach(), atol=1e-6, rtol=0)


def test_it_grows() -> None:
    search, start = epnas(samples=60, grow_every=6), neutral_code(SPACE)
    codes = run(search, SCORES)
    assert codes[0] == start
    for number, code in enumerate(codes):
        opened = 1 + number // 6
        assert code[opened:] == start[opened:]
    assert any(code[5] != start[5] for code in codes)


def test_it_edits_the_best_that_keeps_all_constraints() -> None:
    search = epnas(samples=60)
    for _ in range(60):
        best = search.best[0]
        proposal = search.ask()
        code = search.codes[-1]
        if len(search.codes) > 1:
            steps = [sum(a != b for a, b in zip(code, each, strict=True)) for each in search.keeping]
            assert 1 in steps
            near = [each for each in neighbours(SPACE, best) if each[search.grown :] == best[search.grown :]]
            tried = all(each in search.scores for each in near)
            assert tried or sum(a != b for a, b in zip(code, best, strict=True)) == 1
        search.tell(proposal, SCORES[code])
        assert search.best[1] == max(SCORES[each] for each in search.codes)


@pytest.mark.parametrize(
    ("seed", "at_once"), [(0, 1), (1, 5), *(pytest.param(*each, marks=pytest.mark.long) for each in ((0, 5), (1, 1)))]
)
def test_what_it_returns_keeps_all_constraints(seed: int, at_once: int) -> None:
    """Counted on the built network; without the constraints the answer would break them."""
    bounds = {"params": 400_000.0, "macs": 5.5e7}
    rewarded = {code: float(sum(option == 3 for option in code)) * 10 + 10 for code in SCORES}  # 3x3 is the best
    search = epnas(seed, samples=60, at_most=bounds)
    codes = run(search, rewarded, at_once)
    answer = search.architecture()
    network = build(answer, 10, NetworkSettings())
    assert count_params(network) <= bounds["params"]
    assert count_macs(network, (3, 32, 32)) <= bounds["macs"]
    keeping = [code for code in codes if search.constraints.kept(SPACE.decode(code))]
    assert rewarded[SPACE.encode(answer)] == max(rewarded[code] for code in keeping)
    assert len(keeping) < len(codes), "some were tried that break them"
    free = epnas(seed, samples=60)
    run(free, rewarded, at_once)
    assert count_params(build(free.architecture(), 10, NetworkSettings())) > bounds["params"]


def test_intensity_is_counted_on_the_built_network() -> None:
    """MACs over the bytes that its layers move; a least is kept as a most is."""
    search = epnas(samples=16, candidates=1, at_least={"intensity": 11.0})
    run(search, SCORES)
    answer = search.architecture()
    with torch.device("meta"):
        network = build(answer, 10, NetworkSettings())
    intensity = count_macs(network, (3, 32, 32)) / layer_bytes(network, (3, 32, 32))
    assert search.constraints.values(answer)["intensity"] == pytest.approx(intensity)
    assert intensity >= 11.0
    assert search.broken[True] + search.broken[False] == 16


def test_penalties_are_multiplied() -> None:
    search = epnas(at_most={"params": 1e5, "macs": 1e7}, exponent=0.5)
    big = SPACE.decode((3,) * 6)
    values = search.constraints.values(big)
    expected = (1e5 / values["params"]) ** 0.5 * (1e7 / values["macs"]) ** 0.5
    assert search.constraints.penalty(big) == pytest.approx(expected)
    assert search.constraints.penalty(SPACE.decode(neutral_code(SPACE))) == 1.0


def test_it_learns_when_all_workers_are_told() -> None:
    search = epnas(samples=40, workers=4, candidates=1)
    updates: list[int] = []
    learned = search.policy.learn
    search.policy.learn = lambda told: (updates.append(len(told)), learned(told))[1]  # type: ignore[assignment,func-returns-value]
    run(search, SCORES, 4)
    assert updates == [3, *[4] * 9], "the first of all is the smallest network, which no edit made"


def test_the_predictor_picks_among_candidates() -> None:
    search = epnas(samples=80, candidates=20)
    run(search, SCORES)
    assert search.predictor is not None
    place, codes = search.best[0], [(*search.best[0][:-1], option) for option in range(5)]
    assert codes[search.screened(codes)] in codes
    assert len(set(search.codes[40:])) > 35, "new ones first"
    assert SCORES[place] > sorted(SCORES.values())[-300]


def test_constraints_that_nothing_can_keep_are_refused() -> None:
    with pytest.raises(MethodError, match="not even the smallest network keeps all constraints; it has params 73,306"):
        epnas(at_most={"params": 100.0})
    with pytest.raises(MethodError, match="a constraint is on 'latency'"):
        EPNASOptions(space=NB201, at_most={"latency": 3.0})
    with pytest.raises(MethodError, match="space is 'dense_cell'"):
        EPNASOptions(space="dense_cell")


def test_seeds_differ_and_a_search_repeats_itself() -> None:
    def codes(seed: int) -> list[Code]:
        search = epnas(seed, samples=30)
        return [search.space.encode(_told(search)) for _ in range(30)]

    assert codes(0) == codes(0) != codes(1)


def _told(search: EPNAS) -> Any:
    proposal = search.ask()
    search.tell(proposal, score_of(proposal))
    return proposal
