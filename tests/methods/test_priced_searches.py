"""Searches with a cost in their loss, step by step."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

from methods.parts.costs.counts import Built, counted
from methods.parts.costs.objective import CostTerm
from methods.registry import get_method
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


@pytest.mark.parametrize("options", [{"reduction": "fixed"}, {"derive": "edges"}, {}])
def test_gdas_in_cells_prices_what_it_derives(options: dict[str, Any]) -> None:
    """By either rule, and with the fixed reduction cell: the hard gates' expected cost is that of the network."""
    torch.manual_seed(1)
    cls: Any = get_method("gdas")
    small = {"channels": 8, "cells": 3, "batch_size": 4, "epochs": 4}
    method = cls(cls.Options(**small, **options), replace(CONTEXT, cost=macs()))
    gates = method.gates()
    hard = method.relaxation.hard(gates)
    derived = BUILT.counts(method.relaxation.derive(gates)).macs
    assert method.objective.cost.expected(hard).item() == pytest.approx(derived, rel=1e-5)
