"""A whole search of MGAS in a chain: phases, targets, restarts; and what its options refuse."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import pytest
import torch

from bench.config import identity
from methods.base import MethodError, SearchContext
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.search import MGAS
from methods.gradient.mgas.supernet import role, trainable
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.spaces import NetworkSettings, build, get_space
from tests.methods.mgas_nets import run_epochs, scatter_parameters, the_host_is_not_asked

CONTEXT = SearchContext(num_classes=4, in_channels=1, image_size=8, seed=1)
TARGETS = (60_000.0, 40_000.0)


def new_search(**changes: Any) -> MGAS:
    """Thresholds hurry, so that a few dozen steps go through everything."""
    torch.manual_seed(1)
    settings: dict[str, Any] = {
        "space": "chain_xs",
        "batch_size": 8,
        "targets": TARGETS,
        "warmup_epochs": (1,),
        "commit_interval": 1,
        "phase_epochs": (5, 5, 5, 9),
        "max_epochs": 24,
        "stage_ratios": (0.6,),
        "threshold_pace": 160.0,
        "lambda_delta": 1e-2,
        "lambda_few": 2,
        "lambda_many": 6,
        "weight_lr": 0.05,
    }
    return MGAS(MGASOptions(**{**settings, **changes}), CONTEXT)


def saved(search: MGAS) -> dict[str, Any]:
    """Through a file and back, weights only."""
    buffer = io.BytesIO()
    torch.save(search.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.fixture(scope="module")
def finished() -> tuple[MGAS, list[dict[str, Any]], list[dict[str, Any]]]:
    """One complete search, with the state after every epoch as a checkpoint would hold it."""
    torch.set_num_threads(1)
    search, values, states = new_search(), [], []
    for epoch in range(search.epochs):
        if search.finished:
            break
        states.append(saved(search))
        values += run_epochs(search, epoch, epoch + 1, steps=1)
    return search, values, states


def test_a_search_goes_through_all_phases_to_both_targets(finished) -> None:
    search, values, _ = finished
    assert search.finished
    assert {v["mgas/phase"] for v in values} == {1, 2, 3, 4}
    assert sum(v["mgas/removed"] for v in values) > 0
    assert sum(v["mgas/regrown"] for v in values) > 0
    assert not values[-1]["mgas/cut"]
    for target, architecture in zip(TARGETS, search.family(), strict=True):
        get_space("dense_chain_xs").validate(architecture)
        network = build(architecture, 4, NetworkSettings(in_channels=1))
        params = count_params(network)
        assert 0.5 * target < params <= target
        told = architecture.provenance
        assert (told["achieved"], told["cut_at_epoch_limit"]) == (params, False)
        assert told["sizes"]["params_nonzero"] == count_nonzero(network, architecture.masks)
        assert told["sizes"]["macs"] == count_macs(network, (1, 8, 8))
        network.train()(torch.randn(4, 1, 8, 8)).sum().backward()


def test_all_three_granularities_are_pruned_and_watched(finished) -> None:
    search, values, _ = finished
    small = search.family()[-1].provenance["remaining_ratios"]
    for level in ("operation", "filter", "weight"):
        assert len(small[level]) == 6
        assert min(small[level]) < 1.0, level
    blocks = sum(count for name, count in values[-1].items() if name.startswith("arch/operations/k"))
    assert blocks == sum(len(place.slots) for place in search.supernet.executed(2))
    empty = sum(not place.slots for place in search.supernet.executed(2))
    assert values[-1]["arch/operations/zero"] == empty


@pytest.mark.parametrize("where", ["after a commit", "after a regrowing", "in the final phase"])
def test_a_restart_gives_the_same_bits(finished, where: str) -> None:
    _, values, states = finished
    regrown = next(n for n, v in enumerate(values) if v["mgas/regrown"])
    final = next(n for n, v in enumerate(values) if v["mgas/phase"] == 4)
    removed = next(n for n, v in enumerate(values) if v["mgas/removed"])
    epoch = {"after a commit": removed, "after a regrowing": regrown, "in the final phase": final}[where] + 1
    end = min(epoch + 2, len(states) - 1)
    restarted = new_search()
    restarted.load_state_dict(states[epoch])
    assert run_epochs(restarted, epoch, end, steps=1) == values[epoch:end]
    again = saved(restarted)
    for name in ("tensors", "momentum"):
        assert again[name].keys() == states[end][name].keys()
        assert all(torch.equal(value, states[end][name][key]) for key, value in again[name].items())
    assert again["progress"] == states[end]["progress"]


def test_every_live_parameter_is_trained(finished) -> None:
    _, _, states = finished
    search = new_search()
    search.load_state_dict(states[-1])
    groups = [*search.optimizers.weights.param_groups, *search.optimizers.architecture.param_groups]
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in trainable(search.supernet).values()}
    roles = {role(name) for name in trainable(search.supernet)}
    assert roles == {"weight", "alpha", "kappa", "t_operation", "t_filter", "t_weight"}


@pytest.mark.parametrize("changes", [{}, {"mu": 1.0}], ids=str)
def test_a_step_never_asks_the_host(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    search = new_search(warmup_epochs=(0,), **changes)
    search.enter_longest_step()
    search.supernet.cell(4).commit_operations([(0, op) for op in range(6)])
    search._renew_optimizers({})
    scatter_parameters(search.supernet)
    batch = (torch.randn(8, 1, 8, 8), torch.arange(8) % 4)
    with the_host_is_not_asked(monkeypatch):
        search.step(batch)


def test_the_epoch_limit_cuts_blocks_and_then_channels_to_the_targets() -> None:
    targets = (60_000.0, 12_000.0)
    search = new_search(phase_epochs=(2,), max_epochs=8, threshold_pace=0.0, targets=targets)
    values = run_epochs(search, 0, 8, steps=1)
    assert (len(values), search.finished) == (8, True)
    large, small = search.family()
    for target, found in zip(targets, (large, small), strict=True):
        assert 0.97 * target < found.provenance["achieved"] <= target
        assert found.provenance["cut_at_epoch_limit"]
    chain = small.genotype["chain"].replace("|", " ").split()
    assert [word == "zero" for word in chain] == [False, False, True, False, True, False]
    assert len(small.widths) == 4
    assert all(place.filters.mask.all() for place in search.supernet.executed(2))
    with pytest.raises(MethodError, match="no architecture with params <= 5,000"):
        search.architecture(5_000.0)


VARIANTS: dict[str, dict[str, Any]] = {
    "single stage": {"stages": 1},
    "operations only": {"granularities": ("operation",)},
    "fixed ratios": {"fixed_ratios": {"operation": 0.5, "filter": 0.75, "weight": 0.95}, "fixed_ratio_epochs": 2},
    "costs": {"mu": 1.0, "target_on": "params_nonzero"},
    "macs": {"target_on": "macs", "targets": (100_000.0,)},
    "switched": {"switches": {"threshold_bounds": [0.0, 1.0], "size": "nonzero", "guard": "last", "stop": "overshoot"}},
    "empty kept": {"switches": {"empty_operation": "keep", "rebuild_final": False, "regrow_saturated": "drop"}},
}


@pytest.mark.parametrize(
    "variant", [pytest.param(n, marks=() if n in ("fixed ratios", "costs") else pytest.mark.long) for n in VARIANTS]
)
def test_variants_run_to_their_end(variant: str) -> None:
    search = new_search(**{"phase_epochs": (3,), "targets": (50_000.0,), **VARIANTS[variant]})
    values = run_epochs(search, 0, search.epochs, steps=1)
    assert search.finished
    assert values[-1]["mgas/phase"] == len(search.phases)
    architecture = search.architecture()
    assert architecture.provenance["achieved"] <= search.options.targets[0]
    assert build(architecture, 4, NetworkSettings(in_channels=1))(torch.randn(2, 1, 8, 8)).isfinite().all()
    if variant == "operations only":
        assert not architecture.masks
        assert not architecture.widths


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "nasbench201"}, "these have: darts_cell, chain_s"),
        ({"channels": 16}, "leave channels at 24"),
        ({"cells": 5}, "leave cells at 8"),
        ({"compat": "official"}, "no search of chain_xs was released"),
        ({"switches": {"width_rule": "lossless"}}, "width_rule says nothing of chain_xs"),
        ({"switches": {"size": "published"}}, "none of chain_xs was released"),
    ],
)
def test_what_says_nothing_of_a_chain_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        MGASOptions(**{"space": "chain_xs", **changes})


def test_a_search_of_cells_keeps_its_identity() -> None:
    assert "space" not in identity(MGASOptions())
    assert asdict(MGASOptions())["space"] == "darts_cell"
    assert identity(MGASOptions(space="chain_s"))["space"] == "chain_s"
