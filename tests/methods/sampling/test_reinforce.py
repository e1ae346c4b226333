"""REINFORCE: the closed form against autograd, Adam and baseline against torch, and that the policy learns."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.distributions import Categorical

from methods.base import MethodError
from methods.sampling.reinforce import Reinforce
from methods.spaces import get_space
from methods.spaces.decisions import enumerate_codes
from tests.methods.sampling.landscapes import NB201, TinySpace, context, landscape, run


def reinforce(seed: int = 0, space: str = NB201, **options: float) -> Reinforce:
    return Reinforce(Reinforce.Options(space=space, **options), context(seed))  # type: ignore[arg-type]


def log_probability(logits: list[torch.Tensor], code: tuple[int, ...]) -> torch.Tensor:
    parts = [Categorical(logits=row).log_prob(torch.tensor(option)) for row, option in zip(logits, code, strict=True)]
    return torch.stack(parts).sum()


def rows(search: Reinforce) -> list[torch.Tensor]:
    """The logits of each decision, leaves of a graph of their own."""
    return [
        torch.tensor(row[: len(decision.options)], requires_grad=True)
        for row, decision in zip(search.logits, search.space.decisions(), strict=True)
    ]


@pytest.mark.parametrize("space", [NB201, "tiny"])
def test_the_gradient_is_autograds(space: str, tiny: TinySpace) -> None:
    search = reinforce(space=space)
    search.logits = np.where(np.isfinite(search.logits), 1000 * search.logits, -np.inf)
    search.policy = np.exp(search.logits) / np.exp(search.logits).sum(1, keepdims=True)
    code, leaves = search.propose(), rows(search)
    (-2.5 * log_probability(leaves, code)).backward()
    gradient = search.gradient(code, 2.5)
    for ours, leaf in zip(gradient, leaves, strict=True):
        np.testing.assert_allclose(ours[: len(leaf)], leaf.grad.numpy(), rtol=1e-12, atol=1e-15)
        assert not ours[len(leaf) :].any()


@pytest.mark.parametrize("space", [NB201, "tiny"])
def test_a_search_is_torchs_adam_on_autograds_gradients(space: str, tiny: TinySpace) -> None:
    """The loop of the released code: the baseline has seen the reward that is compared with it."""
    search = reinforce(3, space, samples=60, lr=0.05)
    scores, leaves = landscape(search.space), rows(search)
    adam = torch.optim.Adam(leaves, lr=0.05)
    codes = run(search, scores)
    numerator = denominator = 0.0
    for code in codes:
        numerator, denominator = 0.9 * numerator + 0.1 * scores[code], 0.9 * denominator + 0.1
        loss = -log_probability(leaves, code) * (scores[code] - numerator / denominator)
        adam.zero_grad()
        loss.backward()
        adam.step()
    for row, leaf in zip(search.logits, leaves, strict=True):
        np.testing.assert_allclose(row[: len(leaf)], leaf.detach().numpy(), rtol=1e-6, atol=1e-9)
        assert (row[len(leaf) :] == -np.inf).all()


def test_the_estimate_is_unbiased(tiny: TinySpace) -> None:
    """Its mean over the policy is the gradient of the expected reward, whatever the baseline; by enumeration."""
    search, scores = reinforce(space="tiny"), landscape(tiny)
    leaves = rows(search)
    value = sum(log_probability(leaves, code).exp() * scores[code] for code in enumerate_codes(tiny))
    (-value).backward()
    for baseline in (0.0, 80.0):
        mean = sum(
            log_probability(leaves, code).exp().item() * search.gradient(code, scores[code] - baseline)
            for code in enumerate_codes(tiny)
        )
        for ours, leaf in zip(mean, leaves, strict=True):
            np.testing.assert_allclose(ours[: len(leaf)], leaf.grad.numpy(), atol=1e-9)


def test_proposals_follow_the_policy(tiny: TinySpace) -> None:
    search = reinforce(space="tiny")
    search.policy = np.array([[0.5, 0.3, 0.2, 0], [0.9, 0.1, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    draws = Counter(search.propose() for _ in range(4000))
    expected = [
        4000 * np.prod([search.policy[place, option] for place, option in enumerate(code)])
        for code in enumerate_codes(tiny)
    ]
    assert chisquare([draws[code] for code in enumerate_codes(tiny)], expected).pvalue > 1e-3


def test_a_constant_reward_teaches_nothing() -> None:
    search = reinforce(samples=100)
    before = search.logits
    run(search, dict.fromkeys(landscape(get_space(NB201)), 93.7))
    np.testing.assert_allclose(search.logits, before, atol=1e-4)


def test_the_policy_comes_to_prefer_what_scores() -> None:
    """By 1,000 proposals in the 15,625 cells it draws far above the uniform mean."""
    scores = landscape(get_space(NB201), rugged=0.1)
    codes = run(reinforce(1, samples=1000, lr=0.1), scores)
    late, values = [scores[code] for code in codes[-100:]], list(scores.values())
    assert np.mean(late) > np.mean(values) + 1.5 * np.std(values)


def test_a_score_told_late_moves_the_policy_as_it_is_by_then() -> None:
    scores, search = landscape(get_space(NB201)), reinforce(samples=8)
    codes = run(search, scores, at_once=4)
    again = reinforce(samples=8)
    for begin in (0, 4):
        assert [again.propose() for _ in range(4)] == codes[begin : begin + 4]
        for code in codes[begin : begin + 4]:
            again.learn(code, scores[code])
    np.testing.assert_array_equal(search.logits, again.logits)


def test_a_decision_of_too_many_options_is_refused() -> None:
    """An edge subset of a dense cell: no table of probabilities could hold it."""
    with pytest.raises(MethodError, match=r"'dense_cell': its decision 'normal.3' has 2097151 options"):
        Reinforce.Options(space="dense_cell")
