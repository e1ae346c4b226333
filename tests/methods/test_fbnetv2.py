"""FBNetV2 against its textbook; its gates, its cost, and what a heavier cost does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.base import Batch, MethodError, SearchContext
from methods.gradient.fbnetv2 import FBNetV2, FBNetV2Options
from methods.parts.choices import equal_gates
from methods.parts.costs.counts import Built, Counted, counted
from methods.parts.costs.objective import CostTerm
from methods.parts.costs.widths import expected_macs
from methods.parts.gates import Gates, Logits, soft
from methods.parts.samplers.soft_gumbel import SoftGumbel
from methods.spaces import NetworkSettings, get_space
from methods.spaces.width_space import elastic_of
from methods.spaces.width_supernet import KIND, width_relaxation
from tests.oracles.fbnetv2 import Textbook, chain_xs_macs, gates

SPACE, SIDE = "chain_xs_widths", 16
BUILT = Built(10, NetworkSettings(in_channels=1), SIDE)


def cost(relaxed: Any) -> Counted:
    found = counted("macs", BUILT, relaxed)
    assert isinstance(found, Counted)
    return found


def search(cost_term: CostTerm | None = None, seed: int = 1, **options: Any) -> FBNetV2:
    torch.manual_seed(seed)
    options = {"space": SPACE, "batch_size": 4, "epochs": 4, "arch_start_epoch": 0, **options}
    found = FBNetV2(FBNetV2Options(**options), SearchContext(10, 1, SIDE, seed=seed, cost=cost_term))
    found.to(torch.device("cpu"))
    return found


def batch(seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 1, SIDE, SIDE, generator=generator), torch.randint(10, (4,), generator=generator)


def test_three_steps_are_those_of_the_textbook() -> None:
    term = CostTerm(cost, "log_ratio", weight=0.6, scale=0.2, reference=100_000.0)
    method = search(term, lr=0.05)
    decisions = method.relaxation.decisions
    theirs = elastic_of(SPACE, 10, NetworkSettings(in_channels=1))
    theirs.load_state_dict(method.supernet.elastic.state_dict())  # type: ignore[union-attr]
    textbook = Textbook(theirs, method.alphas[0], decisions, method.options)
    draws = SoftGumbel(torch.Generator().manual_seed(1))
    method.on_epoch_start(1)
    tau = 5.0 * 0.956
    textbook.sgd.param_groups[0]["lr"] = method.lr(1)
    for number in range(3):
        method.supernet.train()
        method.step(batch(number), batch(10 + number))
        like = Logits(textbook.alpha.detach(), torch.ones(len(decisions)))
        textbook.weight_step(batch(number), draws.noise(like), tau)
        textbook.architecture_step(batch(10 + number), draws.noise(like), tau, 0.2, 0.6, 100_000.0)
    there = ~method.parameterisation.absent  # type: ignore[operator]
    torch.testing.assert_close(method.alphas[0][there], textbook.alpha[there], rtol=1e-3, atol=2e-4)
    for ours, wanted in zip(method.weights, textbook.weights, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-4)
    buffers = dict(theirs.named_buffers())
    for name, value in method.supernet.elastic.named_buffers():  # type: ignore[union-attr]
        torch.testing.assert_close(value, buffers[name], rtol=1e-3, atol=1e-4)


def test_the_expected_cost_is_that_of_effective_shapes() -> None:
    relaxed = width_relaxation(SPACE)
    price, draws = cost(relaxed), SoftGumbel(torch.Generator().manual_seed(3), 1.0)
    alpha = torch.randn(relaxed.topology.shape[1:], generator=torch.Generator().manual_seed(4))
    for row, column in relaxed.topology.absent:
        alpha[row, column] = -torch.inf
    logits = Logits(alpha.requires_grad_(), torch.ones(len(alpha)))
    noise = draws.noise(logits)
    found = price.expected({KIND: draws.at(logits, noise)})
    by_hand = gates(alpha, noise, 1.0, relaxed.decisions)
    assert found.item() == pytest.approx(chain_xs_macs(by_hand, relaxed.decisions, SIDE).item(), rel=1e-5)
    layers = elastic_of(SPACE, 10, BUILT.settings).layers("macs", SIDE)
    assert found.item() == pytest.approx(expected_macs(layers, by_hand).item(), rel=1e-5)
    assert torch.autograd.grad(found, alpha)[0].isfinite().all()


@pytest.mark.parametrize("space", ["chain_xs_widths", "chain_s_widths", "resnet_widths"])
@pytest.mark.parametrize("on", ["macs", "params"])
def test_the_cost_of_certain_gates_is_that_of_the_network(space: str, on: str) -> None:
    relaxed = width_relaxation(space)
    price = counted(on, BUILT, relaxed)
    for seed in range(3):
        architecture = get_space(space).sample(torch.Generator().manual_seed(seed))
        rows = relaxed.chosen(architecture)[KIND]
        certain = {KIND: Gates(rows, torch.ones(len(rows)))}
        assert price.expected(certain).item() == price.discrete(architecture)
        assert relaxed.derive(certain) == architecture
    with pytest.raises(MethodError, match="widths have no expected bytes; they have macs and params"):
        counted("bytes_per_mac", BUILT, relaxed).expected(certain)


def test_a_soft_draw_weighs_all_options_and_comes_again_with_its_noise() -> None:
    logits = Logits(torch.tensor([[0.0, 1.0, -torch.inf], [2.0, 0.0, 1.0]]), torch.ones(2))
    sampler = SoftGumbel(torch.Generator().manual_seed(0), 5.0)
    noise = sampler.noise(logits)
    assert torch.equal(sampler.at(logits, noise).options, sampler.at(logits, noise).options)
    drawn = sampler(logits).options
    torch.testing.assert_close(drawn.sum(dim=-1), torch.ones(2))
    assert drawn[0, 2] == 0
    sampler.temperature = 1e-3
    often = torch.stack([sampler(logits).options.round() for _ in range(4000)]).mean(0)
    torch.testing.assert_close(often, soft(logits).options, rtol=0, atol=0.04)
    sampler.temperature = 1e3
    assert (sampler(logits).options[1] - 1 / 3).abs().max() < 0.01


def test_weights_wait_for_nobody_and_the_architecture_for_its_epoch() -> None:
    method = search(arch_start_epoch=2)
    alpha = method.alphas[0].detach().clone()
    method.on_epoch_start(1)
    assert "valid_count" not in method.step(batch(0), batch(1))
    assert torch.equal(method.alphas[0], alpha)
    method.on_epoch_start(2)
    before: list[Tensor] = [weight.detach().clone() for weight in method.weights]
    statistics = {name: value.clone() for name, value in method.supernet.named_buffers()}
    method._architecture_step(batch(1))
    assert not torch.equal(method.alphas[0], alpha)
    assert all(torch.equal(weight, old) for weight, old in zip(method.weights, before, strict=True))
    assert all(torch.equal(value, statistics[name]) for name, value in method.supernet.named_buffers())


@pytest.mark.parametrize(
    ("rule", "weights"),
    [("sum", (0.0, 0.3, 1.0, 2.0, 4.0)), pytest.param("log_ratio", (0.0, 1.0, 2.0, 4.0, 8.0), marks=pytest.mark.long)],
)
def test_a_heavier_cost_makes_the_effective_network_narrower(rule: Any, weights: tuple[float, ...]) -> None:
    """Widths and MACs fall in the order of the weights; without a cost they stay near those of equal gates."""
    macs, widths = [], []
    for weight in weights:
        term = CostTerm(cost, rule, weight=weight)
        method = search(term, seed=2, arch_lr=0.03, arch_weight_decay=0.0, epochs=1)
        method.on_epoch_start(0)
        for number in range(24):
            method.supernet.train()
            method.step(batch(number), batch(100 + number))
        values = method.on_epoch_end(0)
        macs.append(values["cost/expected"])
        widths.append(sum(values["widths/effective"]))
    assert all(heavier < lighter for lighter, heavier in pairwise(macs)), macs
    assert all(heavier < lighter for lighter, heavier in pairwise(widths)), widths
    equal = cost(width_relaxation(SPACE)).expected(equal_gates(width_relaxation(SPACE).topology)).item()
    assert macs[-1] < 0.8 * equal
    assert macs[-1] < 0.96 * macs[0]


def test_a_bound_is_kept_when_the_widths_are_derived() -> None:
    bound = 120_000.0
    method = search(CostTerm(cost, "none", at_most=bound))
    with torch.no_grad():
        method.alphas[0][:, -1] += 3.0  # the largest, where all five options are there
        method.alphas[0][:, 3] += 2.0
    assert cost(method.relaxation).discrete(method.derived(method.gates())) > bound
    found = method.architecture()
    assert found.provenance["cost"]["met"]
    assert cost(method.relaxation).discrete(found) <= bound


def test_a_step_in_bf16_learns() -> None:
    method = search(CostTerm(cost, "sum"))
    method.on_epoch_start(0)
    alpha = method.alphas[0].detach().clone()
    with torch.autocast("cpu", torch.bfloat16):
        sums = method.step(batch(0), batch(1))
    assert all(bool(value.isfinite()) for value in sums.values())
    assert bool(method.alphas[0].isfinite().all())
    assert not torch.equal(method.alphas[0], alpha)


def test_what_it_cannot_search_in_is_refused() -> None:
    with pytest.raises(MethodError, match="'chain_xs' has no widths to choose; these spaces have: chain_s_widths"):
        FBNetV2Options(space="chain_xs")
    with pytest.raises(MethodError, match="cells=5 says nothing of a supernet of resnet_widths"):
        FBNetV2Options(space="resnet_widths", cells=5)
