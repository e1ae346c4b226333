"""The whole search: phases, targets, resuming, optimiser coverage, limits."""

from __future__ import annotations

import copy
import inspect
import io
from typing import Any

import pytest
import torch

from bench.speed.count import Dispatched
from methods.base import MethodError, SearchContext
from methods.gradient.mgas.optimizers import learning_rates
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.search import MGAS
from methods.gradient.mgas.supernet import role, trainable
from methods.parts.counts import count_macs, count_nonzero, count_params
from methods.registry import get_method
from methods.spaces import NetworkSettings, build
from tests.methods.mgas_nets import (
    TINY,
    images,
    quick_options,
    remove_at_random,
    run_epochs,
    saved_bytes,
    scatter_parameters,
    the_host_is_not_asked,
)

CONTEXT = SearchContext(num_classes=4, in_channels=1, image_size=8, seed=1)


def new_search(thin: float = 0.0, **changes: Any) -> MGAS:
    """A search; `thin` removes a share of the operations before it starts, to save time."""
    torch.manual_seed(1)
    search = MGAS(quick_options(**changes), CONTEXT)
    if thin:
        remove_at_random(search.supernet, thin)
        search._enter(0)
    return search


@pytest.fixture(scope="module")
def finished() -> tuple[MGAS, list[dict[str, Any]], list[dict[str, Any]]]:
    """One complete search, with the state after every epoch as a checkpoint would hold it."""
    search, values, states = new_search(thin=0.4), [], []
    for epoch in range(search.epochs):
        if search.finished:
            break
        states.append(saved(search))
        values += run_epochs(search, epoch, epoch + 1)
    return search, values, states


def saved(search: MGAS) -> dict[str, Any]:
    """Through a file and back, weights only."""
    buffer = io.BytesIO()
    torch.save(search.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_a_search_goes_through_all_phases_to_both_targets(finished):
    search, values, _ = finished
    assert search.finished
    assert [v["mgas/phase"] for v in values] == sorted(v["mgas/phase"] for v in values)
    assert {v["mgas/phase"] for v in values} == {1, 2, 3, 4}
    assert sum(v["mgas/removed"] for v in values) > 0
    assert sum(v["mgas/regrown"] for v in values) > 0
    assert all(v["mgas/regrown"] == 0 for v in values if v["mgas/phase"] in (1, 4))
    family = search.family()
    assert len({architecture.digest for architecture in family}) == 2
    for target, architecture in zip(search.options.targets, family, strict=True):
        network = build(architecture, 4, NetworkSettings(in_channels=1))
        params = count_params(network)
        assert 0.5 * target < params <= target
        assert architecture.provenance["achieved"] == params
        assert architecture.provenance["sizes"]["params_nonzero"] == count_nonzero(network, architecture.masks)
        assert architecture.provenance["sizes"]["macs"] == count_macs(network, (1, 8, 8))
        assert network(images()[0]).shape == (4, 4)


def test_two_targets_give_different_ratios_at_every_level(finished):
    search, _, _ = finished
    large, small = (a.provenance["remaining_ratios"] for a in search.family())
    for level in ("operation", "filter", "weight"):
        assert large[level] != small[level], level
    assert sum(small["operation"]) < sum(large["operation"])


def test_snapshots_fall_in_size_and_operations(finished):
    search, _, _ = finished
    sizes = [snapshot.sizes["params"] for snapshot in search.snapshots]
    operations = [
        sum(len(cell["edges"]) for cell in snapshot.architecture.genotype["cells"]) for snapshot in search.snapshots
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert operations == sorted(operations, reverse=True)


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Places where two states differ in a bit."""
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{where}: keys"]
        return [d for key in a for d in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list):
        if len(a) != len(b):
            return [f"{where}: length"]
        return [d for n, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}[{n}]")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    return [] if same else [where]


def interesting_epochs(values: list[dict[str, Any]]) -> dict[str, int]:
    """Epochs before which a restart is hard: within a stage, after a commit, a narrowing, a regrowing, a snapshot."""
    phases = [v["mgas/phase"] for v in values]
    return {
        "inside a stage": 1,
        "after a commit": next(n for n, v in enumerate(values) if v["mgas/removed"]) + 1,
        "after a narrowing": phases.index(2),
        "after a regrowing": next(n for n, v in enumerate(values) if v["mgas/regrown"]) + 1,
        "in the final phase": phases.index(4) + 1,
        "after the first snapshot": len(values) - 1,
    }


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("inside a stage", marks=pytest.mark.long),
        pytest.param("after a commit", marks=pytest.mark.long),
        "after a narrowing",
        "after a regrowing",
        "in the final phase",
        pytest.param("after the first snapshot", marks=pytest.mark.long),
    ],
)
def test_a_restart_gives_the_same_bits(finished, where: str):
    _, values, states = finished
    epoch = interesting_epochs(values)[where]
    end = min(epoch + 2, len(states) - 1)
    torch.manual_seed(99)
    restarted = MGAS(quick_options(), CONTEXT)
    restarted.load_state_dict(states[epoch])
    assert restarted.on_epoch_start(epoch)  # the topology may have changed
    assert run_epochs(restarted, epoch, end) == values[epoch:end]
    assert differences(saved(restarted), states[end]) == []


def test_a_restart_between_two_steps_gives_the_same_bits():
    straight, batch = new_search(thin=0.8), images(8)
    straight.on_epoch_start(0)
    straight.step(batch)
    state = saved(straight)
    torch.manual_seed(7)
    restarted = MGAS(quick_options(), CONTEXT)
    restarted.load_state_dict(state)
    for search in (straight, restarted):
        search.on_epoch_start(0)  # called again after a restart
        search.step(batch)
        search.on_epoch_end(0)
    assert differences(saved(straight), saved(restarted)) == []


def test_every_live_parameter_is_in_one_group_with_its_rate(finished):
    _, _, states = finished
    for state in states[::5]:
        search = new_search()
        search.load_state_dict(state)
        rates = learning_rates(search.options)
        groups = [*search.optimizers.weights.param_groups, *search.optimizers.architecture.param_groups]
        found = [(id(parameter), group["lr"]) for group in groups for parameter in group["params"]]
        expected = {id(parameter): rates[role(name)] for name, parameter in trainable(search.supernet).items()}
        assert len(found) == len(expected)
        assert dict(found) == expected
        executed = {id(p) for cell in search.supernet.executed() for p in cell.parameters()}
        assert executed <= set(expected)


def test_three_stages_need_less_memory_than_one(finished):
    """Largest memory held for a backward pass, over the whole search: the stages before have shrunk by then."""
    _, values, states = finished
    single = new_search(thin=0.4, stages=1, phase_epochs=(5,))
    starts = [next(n for n, v in enumerate(values) if v["mgas/phase"] == phase) for phase in (1, 2, 3, 4)]
    held = []
    for epoch in starts:
        search = new_search()
        search.load_state_dict(states[epoch])
        held.append(saved_bytes(search.supernet.train(), search.supernet.stage))
    assert max(held) < 0.9 * saved_bytes(single.supernet.train(), 2)


def test_warmup_trains_weights_only():
    search = new_search()
    before = {name: p.detach().clone() for name, p in search.supernet.named_parameters()}
    search.step(images(8))
    moved = {role(name) for name, p in search.supernet.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"weight"}
    run_epochs(search, 0, 1)
    search.step(images(8))
    moved = {role(name) for name, p in search.supernet.named_parameters() if not torch.equal(p, before[name])}
    assert moved >= {"weight", "alpha", "kappa", "t_operation", "t_filter", "t_input"}


@pytest.mark.parametrize("changes", [{}, {"mu": 1.0}, {"compat": "official"}], ids=str)
def test_a_step_never_asks_the_host(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]):
    search, batch = new_search(thin=0.7, **changes), images(8)
    run_epochs(search, 0, 1)
    scatter_parameters(search.supernet)
    with the_host_is_not_asked(monkeypatch):
        search.step(batch)


def test_no_loop_over_filters_or_weights():
    """Four times as many of them are as many operations."""
    counts = []
    for channels in (2, 8):
        search, batch = new_search(channels=channels, warmup_epochs=(0,)), images(8)
        search.step(batch)
        with Dispatched() as dispatched:
            search.step(batch)
        counts.append(dispatched.operations)
    assert counts[0] == counts[1]


def test_the_longest_step_goes_through_all_cells():
    search, batch = new_search(), images(8)
    assert len(search.supernet.executed()) < 3
    search.enter_longest_step()
    assert len(search.supernet.executed()) == 3
    assert torch.isfinite(search.step(batch)["loss_sum"])


def test_the_controller_sees_one_epochs_means():
    search = new_search(thin=0.8)
    search.supernet.strength.fill_(0.5)
    for _ in range(3):
        search.step(images(8))
    cross_entropy, weighted, steps = search.supernet.epoch_sums.tolist()
    assert steps == 3
    living = sum(len(cell.slots) for cell in search.supernet.executed())
    assert 0 < weighted / 3 < 0.5 * living
    assert 0.5 < cross_entropy / 3 < 10
    search.on_epoch_end(0)
    assert not search.supernet.epoch_sums.any()


def test_same_seed_same_search():
    first, second = (new_search(thin=0.7) for _ in range(2))
    run_epochs(first, 0, 4)
    run_epochs(second, 0, 4)
    assert differences(saved(first), saved(second)) == []


def test_the_search_sees_no_test_data():
    parameters = [*inspect.signature(MGAS.__init__).parameters, *inspect.signature(MGAS.step).parameters]
    assert not [name for name in parameters if "test" in name]
    search = new_search(valid_fraction=0.2)
    assert (search.split.train, search.split.valid, search.split.paired) == (0.8, 0.2, False)


def test_snapshots_are_chosen_on_the_validation_part(finished):
    search = copy.copy(finished[0])
    large, small = search.snapshots[0], search.snapshots[-1]
    near = 0.97 * large.sizes["params"]

    def with_accuracy(snapshot, params: float, accuracy: float):
        return type(snapshot)(snapshot.architecture, {**snapshot.sizes, "params": params}, accuracy, 0)

    target = search.options.targets[0]
    best = with_accuracy(small, min(near, target), 90.0)
    search.snapshots = [with_accuracy(large, large.sizes["params"], 50.0), best, with_accuracy(small, 100.0, 99.0)]
    assert search.architecture(target).provenance["achieved"] == best.sizes["params"]  # not the far smaller third
    with pytest.raises(MethodError, match="the smallest snapshot has 100"):
        search.architecture(50.0)


def test_the_epoch_limit_is_kept_and_cuts_to_the_targets():
    search = new_search(thin=0.6, phase_epochs=(2,), max_epochs=8, threshold_pace=0.0)
    values = run_epochs(search, 0, 8)
    assert len(values) == 8
    assert search.finished
    assert all(snapshot.forced for snapshot in search.snapshots)
    for target, architecture in zip(search.options.targets, search.family(), strict=True):
        assert architecture.provenance["achieved"] <= target
        assert architecture.provenance["cut_at_epoch_limit"]


def test_too_few_epochs_end_with_a_clear_error():
    search = new_search(phase_epochs=(), max_epochs=2)
    with pytest.raises(MethodError, match="ended the search in phase 1 of 4"):
        run_epochs(search, 0, 2)


@pytest.mark.parametrize("value", [50.0, -50.0, float("inf")])
def test_extreme_thresholds_do_no_harm(value: float):
    search = new_search(thin=0.8)
    run_epochs(search, 0, 2)
    with torch.no_grad():
        for cell in search.supernet.executed(2):
            cell.t_operation.fill_(value)
    sums = search.step(images(8))
    assert torch.isfinite(sums["loss_sum"])
    assert torch.isfinite(search.supernet(images(8)[0])).all()


def test_a_cell_without_convolutions_is_fine():
    search = new_search()
    cell = search.supernet.cell(0)
    cell.commit_operations([slot for slot in cell.slots if 1 <= slot[1] <= 4])
    search._renew_optimizers({})
    values = run_epochs(search, 0, 3)
    assert values[-1]["mgas/ratio_weight"] == [1.0]


VARIANTS: dict[str, dict[str, Any]] = {
    "official": {"compat": "official", "phase_epochs": (4,)},
    "single stage": {"stages": 1},
    "no re-evaluation": {"reevaluation": False},
    "operations only": {"granularities": ("operation",)},
    "fixed ratios": {
        "fixed_ratios": {"operation": 0.5, "filter": 0.75, "weight": 0.95},
        "fixed_ratio_epochs": 2,
    },
    "costs": {"mu": 1.0, "target_on": "params_nonzero"},
    "macs": {"target_on": "macs", "targets": (150_000.0, 120_000.0)},
    "clamped": {"switches": {"threshold_bounds": [0.0, 1.0], "pool_norm": True, "size": "nonzero"}},
}


OFTEN = ("operations only", "fixed ratios")  # `official` goes through all phases in test_mgas_presets.py, too


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in VARIANTS],
)
def test_variants_run_to_their_end(variant: str):
    search = new_search(thin=0.75, **{"phase_epochs": (3,), "targets": (13_000.0,), **VARIANTS[variant]})
    values = run_epochs(search, 0, search.epochs, steps=1)
    assert search.finished
    assert values[-1]["mgas/phase"] == len(search.phases)
    architecture = search.architecture()
    assert architecture.provenance["achieved"] <= search.options.targets[0]
    network = build(architecture, 4, NetworkSettings(in_channels=1))
    assert network(images()[0]).isfinite().all()
    if variant == "operations only":
        assert not architecture.masks
        assert all(set(v["mgas/ratio_filter"]) == {1.0} for v in values)
    if variant == "no re-evaluation":
        assert not any(v["mgas/regrown"] for v in values)
        second = [v for v in values if v["mgas/phase"] == 2]
        assert len({v["mgas/ratio_operation"][0] for v in second}) == 1
    if variant == "official":
        assert search.progress.lost
        trained = {name for name in search.optimizers.names.values() if name.startswith("cells.")}
        assert {role(name) for name in trained} == {"alpha", "t_operation", "t_filter", "t_weight", "t_input"}


def test_fixed_ratio_stages_have_their_shares():
    ratios = {"operation": 0.5, "filter": 0.75, "weight": 0.9}
    search = new_search(fixed_ratios=ratios, fixed_ratio_epochs=2, channels=8, reevaluation=False)
    values = run_epochs(search, 0, 3, steps=1)
    first = values[2]
    assert first["mgas/phase"] == 1
    assert first["mgas/ratio_operation"][0] == pytest.approx(0.5, abs=0.03)
    assert first["mgas/ratio_weight"][0] == pytest.approx(0.9, abs=0.02)


def test_registered_with_its_options():
    assert get_method("mgas") is MGAS
    assert MGAS.Options is MGASOptions
    assert MGAS(MGASOptions(channels=4, cells=3), TINY).augmentation == "crop-flip-autoaugment-cutout"
    assert MGAS(MGASOptions(channels=4, cells=3, autoaugment=False), TINY).augmentation == "crop-flip-cutout"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compat": "old"}, "it must be one of 'fixed', 'official'"),
        ({"switches": {"gard": "last"}}, "unknown switch 'gard'; valid: guard"),
        ({"switches": {"guard": "first"}}, "it must be one of 'strongest', 'last'"),
        ({"granularities": ("filter",)}, "operation always"),
        ({"fixed_ratios": {"operation": 0.5}}, "one share for each"),
        ({"targets": ()}, "at least one positive size"),
        ({"stage_ratios": (0.3, 0.3)}, "1 or 3 values"),
        ({"warmup_epochs": (9,), "phase_epochs": (5,)}, "cannot have 9 epochs of warm-up"),
        ({"compat": "official", "switches": {"width_rule": "lossless"}}, "needs narrow 'aligned'"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(MethodError, match=message):
        quick_options(**changes)
