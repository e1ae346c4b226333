"""The two releases of MGAS' search code as presets: every value beside the released one, and what they change."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.config import ConfigError, fill_preset, identity, parse
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from methods.gradient.mgas.cells.topology import Plan
from methods.gradient.mgas.controller import LambdaState, next_lambda
from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.presets import PRESETS
from methods.gradient.mgas.schedule import phases
from methods.gradient.mgas.search import MGAS
from methods.gradient.mgas.switches import OFFICIAL
from tests.methods.mgas_nets import TINY, quick_options, run_epochs

MARCH, JULY = "released-2025-03-18", "released-2025-07-01"


def options(name: str, **changes: Any) -> MGASOptions:
    return parse(MGASOptions, fill_preset(MGASOptions, {"preset": name, **changes}, "here"), "here")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_the_release_to_the_letter(name: str) -> None:
    found = options(name)
    assert found.resolved_switches() == OFFICIAL
    assert (found.batch_size, found.valid_fraction, found.autoaugment) == (96, 0.0, True)
    assert (found.target_on, found.targets) == ("size", (0.1,))
    assert (found.weight_lr, found.alpha_lr, found.kappa_lr) == (0.01, 1.0, 1.0)
    assert (found.threshold_lr, found.weight_threshold_lr) == (0.1, 0.001)
    assert (found.regrow_share, found.warmup_epochs, found.commit_interval) == (0.2, (5,), 2)


def test_the_scales_of_the_two_releases() -> None:
    march, july = options(MARCH), options(JULY)
    assert (march.channels, march.cells, march.by_phase("stage_ratios")) == (44, 14, (0.5, 0.4, 0.3))
    assert (july.channels, july.cells, july.by_phase("stage_ratios")) == (16, 8, (0.3, 0.3, 0.3))
    assert (march.reset_thresholds, march.narrow_in_stages) == (False, True)
    assert (july.reset_thresholds, july.narrow_in_stages) == (True, False)


def lambdas(name: str, phase: int, removed: list[int]) -> list[float]:
    rule = phases(options(name), Plan(8, 3))[phase]
    state, found = LambdaState(rule.start, rule.rule.delta), []
    for number in removed:
        state = next_lambda(state, number, 1.0, 0.0, rule.rule)
        found.append(state.value)
    return found


def test_the_controller_of_either_release() -> None:
    """Removals below 24, of 24 to 47, and from 48 on, as both drivers go through them; lambda0 1e-5, c0 2."""
    removed = [0, 30, 60, 0]
    stage = [4e-5, 4e-5, 4e-5, 4e-5 + 16e-5]  # March: a stage's lambda never falls
    assert lambdas(MARCH, 0, removed) == pytest.approx(stage)
    final = [1e-4 + 2e-5, 6e-5, 3e-5, 3e-5 + 2e-5]  # March: starts at 1e-4, steps double, halved from 24 on
    assert lambdas(MARCH, 3, removed) == pytest.approx(final)
    either = [4e-5, 4e-5, 2e-5, 2e-5 + 4e-5]  # July: in stages and in the final phase
    assert lambdas(JULY, 0, removed) == pytest.approx(either)
    assert lambdas(JULY, 3, removed) == pytest.approx(either)


def test_what_is_said_goes_before_the_preset_and_nothing_else_is_recorded() -> None:
    found = options(JULY, channels=24, compat="fixed")
    assert (found.channels, found.cells, found.compat, found.switches) == (24, 8, "fixed", {})
    spelled = {**PRESETS[JULY], "channels": 24, "compat": "fixed"}
    assert identity(found) == identity(parse(MGASOptions, spelled, "here")), "a name is no part of a signature"
    with pytest.raises(ConfigError, match="did you mean 'released-2025-03-18'"):
        options("released-2025-03")


def test_official_says_which_narrowing_it_means() -> None:
    """Its searches got other names when its narrowing was mended; those of `fixed` kept theirs."""
    assert MGASOptions(compat="official").switches == {"restart": "all", "skip_halves": "first"}
    before = MGASOptions(compat="official", switches={"restart": "narrowed", "skip_halves": "own"})
    assert before.resolved_switches().restart == "narrowed"
    assert MGASOptions().switches == {}
    grown = {"lambda_start", "reset_thresholds", "narrow_in_stages", "autoaugment_policy"}
    assert not grown & set(identity(MGASOptions()))


def test_the_paper_profile_names_its_presets() -> None:
    searches = {run.label: run for run in plan(load_experiment("cifar10"), "paper") if run.phase == "search"}
    assert (searches["mgas-large"].preset, searches["mgas-small"].preset) == (MARCH, JULY)
    assert searches["mgas-large"].config["options"]["lambda_start"] == (0.0, 0.0, 0.0, 1e-4)
    assert searches["darts"].preset is None


@pytest.mark.parametrize("compat", [pytest.param("fixed", marks=pytest.mark.long), "official"])
def test_a_search_by_the_march_release_goes_through_all_phases(compat: str) -> None:
    """Thresholds carry over, stages narrow inside, and lambda has its value when the final phase begins to search."""
    march = {
        name: PRESETS[MARCH][name]
        for name in ("lambda_grow", "lambda_few", "lambda_many", "reset_thresholds", "narrow_in_stages")
    }
    chosen = quick_options(compat=compat, lambda_start=(0.0, 0.0, 0.0, 1e-2), **march)
    torch.manual_seed(0)
    search = MGAS(chosen, TINY)
    within, thresholds, strengths = [], [], []
    narrow = search._narrow

    def recorded(cells: range | None = None, pinned: int | None = None) -> None:
        narrow(cells, pinned)
        within.append((search.progress.phase, cells, pinned, search.progress.lost))

    search._narrow = recorded  # type: ignore[method-assign]
    for epoch in range(chosen.max_epochs):
        if search.finished:
            break
        before = search.progress.phase
        run_epochs(search, epoch, epoch + 1)
        if search.progress.phase != before:
            thresholds.append(float(search.supernet.cell(0).t_operation.detach().max()))
        if search.progress.phase == 3 and search.progress.epoch == 1:
            strengths.append(float(search.supernet.strength))
    assert search.finished
    assert max(thresholds) > 0, "carried over"
    assert strengths == pytest.approx([1e-2]), "after one epoch of warm-up"
    lost = compat == "official"
    inside = {(phase, cells, pinned, lost) for phase, cells, pinned, lost in within if cells is not None}
    assert inside == {(stage, range(stage + 1), stage, lost) for stage in range(3)}
    assert search.architecture().widths
