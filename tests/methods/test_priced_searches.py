"""Searches with a cost in their loss, step by step."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

from methods.domain import MethodError
from methods.parts.costs.counts import Built, counted
from methods.parts.costs.encodings import encoding_of
from methods.parts.costs.fitted import FittedCost
from methods.parts.costs.objective import CostTerm
from methods.parts.costs.predictors import KINDS, Table
from methods.registry import get_method
from methods.spaces.relaxation import Relaxation
from tests.methods.small_searches import CONTEXT, SMALL, batch

BUILT = Built(10, image_size=8)
TAKING = ("darts", "pc_darts", "gdas", "proxylessnas", "surgenas", "msg_das")
OPTIONS: dict[str, dict[str, Any]] = {
    "pc_darts": {"arch_start_epoch": 0},
    "proxylessnas": {"weight_epochs": 0, "arch_start_epoch": 0, "arch_every": 1, "gates": "all_paths"},
    "surgenas": {"ordered_epochs": 0, "arch_start_epoch": 0},
}


def begun(name: str, term: CostTerm | None, **more: Any) -> Any:
    """A small search in `chain_xs`, always of the same weights."""
    torch.manual_seed(1)
    cls: Any = get_method(name)
    options = {**SMALL, "channels": cls.Options().channels, "cells": cls.Options().cells, "space": "chain_xs"}
    method = cls(cls.Options(**{**options, **OPTIONS.get(name, {}), **more}), replace(CONTEXT, cost=term))
    method.to(torch.device("cpu"))
    method.begin(4)
    method.on_epoch_start(0)
    method.supernet.train()
    return method


def macs(rule: Any = "sum", **more: Any) -> CostTerm:
    return CostTerm(lambda relaxed: counted("macs", BUILT, relaxed), rule, **more)


def stepped(method: Any, steps: int = 1) -> Any:
    for number in range(steps):
        valid = batch(2 * number + 1) if method.split.paired else None
        method.step(batch(2 * number), valid)
    return method


@pytest.mark.parametrize("name", TAKING)
def test_a_cost_without_weight_changes_no_bit(name: str) -> None:
    free, watched, heavy = (
        stepped(begun(name, term)).alphas for term in (None, macs("sum", weight=0.0), macs("sum", weight=10.0))
    )
    assert all(torch.equal(one, other) for one, other in zip(free, watched, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(free, heavy, strict=True))


def test_a_heavier_cost_finds_smaller_networks() -> None:
    """What is left of the task is random images: the cost decides."""
    weights, found = (0.0, 20.0, 100.0, 500.0), []
    for weight in weights:
        method = stepped(begun("darts", macs("sum", weight=weight), arch_lr=0.05, arch_betas=(0.9, 0.999)), 10)
        found.append(method.objective.watched(method.gates())["cost/expected"])
    assert spearmanr(weights, found).statistic == -1


def test_of_two_paths_the_cheaper_one_gains_what_the_other_loses() -> None:
    """The cost's gradient in the release: w / r q_i q_j (c_i - c_j), q being the softmax over the two. That of the mean
    over all options is of one sign where both cost less than that mean."""
    method = begun("proxylessnas", macs("sum", weight=2.0), gates="two_paths")
    (alpha,) = method.alphas
    with torch.no_grad():
        alpha.normal_(generator=torch.Generator().manual_seed(0))
    paths = method.draw()
    (gates,) = paths[0].values()
    (found,) = method.objective.gradients(
        [torch.zeros_like(alpha)], torch.tensor(2.0), [alpha], method.gates, method.weighed(paths)
    )
    table, reference = method.objective.cost.table.table["slot"], method.objective.rule.reference
    for row, (one, (other,)) in enumerate(zip(gates.chosen, gates.compared, strict=True)):
        q = alpha.detach()[row, [one, other]].softmax(0)
        by_hand = torch.zeros(7)
        by_hand[one] = 2.0 / reference * q.prod() * (table[row, one] - table[row, other])
        by_hand[other] = -by_hand[one]
        torch.testing.assert_close(found[row], by_hand)


def test_a_multiplier_and_its_state_go_on_where_they_were() -> None:
    at_most = 60_000.0
    whole = begun("gdas", macs("multiplier", at_most=at_most, rate=0.5), arch_lr=0.05)
    stepped(whole, 2)
    assert whole.objective.rule.pressure > 0
    other = begun("gdas", macs("multiplier", at_most=at_most, rate=0.5), arch_lr=0.05)
    other.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert other.objective.rule.pressure == whole.objective.rule.pressure
    for method in (whole, other):
        stepped(method)
    assert torch.equal(whole.alphas[0], other.alphas[0])


def test_what_a_search_finds_keeps_its_bound_and_says_so() -> None:
    method = begun("surgenas", macs("none", at_most=50_000.0))
    found = method.architecture()
    assert BUILT.counts(found).macs <= 50_000
    assert found.provenance["cost"]["met"]
    assert found.provenance["cost"]["value"] == BUILT.counts(found).macs


def in_cells(term: CostTerm | None, **options: Any) -> Any:
    """GDAS; the two strongest pairs of the first node are of one edge."""
    torch.manual_seed(1)
    cls: Any = get_method("gdas")
    small = {"channels": 8, "cells": 3, "batch_size": 4, "epochs": 4}
    method = cls(cls.Options(**small, **options), replace(CONTEXT, cost=term))
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_()
            alpha[:2] = 0.0
            alpha[0, 2:4] = 3.0
    return method


@pytest.mark.parametrize("options", [{"reduction": "fixed"}, {"derive": "edges"}, {}])
def test_gdas_in_cells_prices_what_it_derives(options: dict[str, Any]) -> None:
    """By either rule, and with the fixed reduction cell: the hard gates' expected cost is that of the network."""
    method = in_cells(macs(), **options)
    gates = method.gates()
    hard = method.relaxation.hard(gates)
    derived = BUILT.counts(method.relaxation.derive(gates)).macs
    assert method.objective.cost.expected(hard).item() == pytest.approx(derived, rel=1e-5)


def predicted(relaxed: Relaxation, kind: str) -> FittedCost:
    torch.manual_seed(0)
    encoding = encoding_of("darts_cell", relaxed=relaxed)
    predictor = KINDS[kind](encoding)
    if isinstance(predictor, Table):
        predictor.options.copy_(torch.rand(encoding.size))
    return FittedCost(encoding, predictor.requires_grad_(False), "ms")


@pytest.mark.parametrize("derive", ["pairs", "edges"])
@pytest.mark.parametrize("kind", KINDS)
def test_gdas_predicts_what_it_derives(kind: str, derive: str) -> None:
    """Two pairs of one edge, too, which DARTS' rule never derives."""
    method = in_cells(None, derive=derive)
    relaxed, gates = method.relaxation, method.gates()
    derived, cost = relaxed.derive(gates), predicted(relaxed, kind)
    assert derived.space == {"pairs": "general_cell", "edges": "darts_cell"}[derive]
    assert cost.expected(relaxed.hard(gates)).item() == pytest.approx(cost.discrete(derived), rel=1e-5)


def test_no_latency_is_predicted_of_a_cell_that_no_measured_network_has() -> None:
    with pytest.raises(MethodError, match=r"this search decides normal alone.* no measured network says anything"):
        encoding_of("darts_cell", relaxed=in_cells(None, reduction="fixed").relaxation)
