"""The shipped experiment of widths: its budgets are the shares they are named after, its profiles can be begun."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.config import restore
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.plan.stand_ins import stand_in
from bench.records.directory import RunInfo
from bench.run.phases.start import imagined_start
from methods.architecture import Architecture
from methods.base import GradientSearch, SearchContext, SharedWeights
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.registry import get_method
from methods.spaces import NetworkSettings, build, get_space

PROFILES = ("quick", "short", "paper")
SHAPE = (3, 32, 32)
every_profile = pytest.mark.parametrize("profile", PROFILES)


def runs_of(profile: str) -> list[RunInfo]:
    return plan(load_experiment("widths-cifar10"), profile)


def searches(profile: str) -> dict[str, RunInfo]:
    """One of each row that searches by gradients, by its label."""
    found = {run.label: run for run in reversed(runs_of(profile)) if run.phase == "search"}
    return {label: run for label, run in found.items() if issubclass(get_method(run.method), GradientSearch)}


def counted(architecture: Architecture, settings: NetworkSettings) -> tuple[int, int]:
    """MACs and parameters of the built network, which are those in closed form."""
    network = build(architecture, 10, settings)
    found = count_macs(network, SHAPE), count_params(network)
    closed = get_space(architecture.space).counts(architecture, 10, settings)
    assert found == (closed.macs, closed.params)
    return found


def reference(profile: str) -> Architecture:
    """Of which the budgets are shares."""
    (name,) = {
        run.config["architecture"]["published"]
        for run in runs_of(profile)
        if run.phase == "train" and run.label == "reference"
    }
    return published(name)


@every_profile
def test_networks_by_hand_are_counted_as_built_and_are_what_they_are_called(profile: str) -> None:
    given = {
        run.label: run.config["architecture"]["published"]
        for run in runs_of(profile)
        if run.phase == "train" and run.method == "published"
    }
    settings = NetworkSettings(**runs_of(profile)[-1].config["network"])
    macs = {label: counted(published(name), settings)[0] for label, name in given.items() if "penal" not in label}
    whole = macs["reference"]
    assert set(macs) == {"reference", "reference-x0.75", "reference-x0.5", "reference-quarter", "reference-r24"}
    assert macs["reference-quarter"] / whole == pytest.approx(0.25, abs=0.005)
    assert macs["reference-r24"] / whole == pytest.approx((24 / 32) ** 2, abs=0.01)
    assert macs["reference-quarter"] < macs["reference-x0.5"] < macs["reference-x0.75"] < whole


@every_profile
def test_budgets_are_shares_of_the_reference(profile: str) -> None:
    found, whole = searches(profile), counted(reference(profile), NetworkSettings())[0]
    options = {label: run.config["options"] for label, run in found.items()}
    assert options["dna-down"]["macs"] == options["dna-up"]["macs"] == whole / 2
    assert options["mgas-half"]["targets"] == (whole / 2,)
    assert options["autoslim"]["budgets"] == ((whole / 2,) if profile == "quick" else (whole / 2, whole / 4))
    assert [found[f"fbnetv2-{part}"].config["cost"]["share"] for part in ("half", "quarter")] == [0.5, 0.25]
    space: Any = get_space(options["us_net"]["space"])
    widest = space.decode(tuple(len(each.options) - 1 for each in space.decisions()))
    assert 0.41 * counted(widest, NetworkSettings())[0] == pytest.approx(whole / 2, rel=0.03)


@every_profile
def test_what_is_searched_is_counted_as_built(profile: str) -> None:
    """Random networks of every space, of all widths and resolutions."""
    spaces = {run.config["options"]["space"] for run in searches(profile).values() if "space" in run.config["options"]}
    assert len(spaces) == 2
    for name in spaces:
        for seed in range(4):
            counted(get_space(name).sample(torch.Generator().manual_seed(seed)), NetworkSettings())


def begun(run: RunInfo, planned: dict[str, RunInfo]) -> Any:
    """The search of a run, with its options but few images in a batch."""
    cls = get_method(run.method)
    start = imagined_start(run, stand_in(run, planned), 10, 3) if "start" in run.config else None
    options: Any = restore(cls.Options, {**run.config["options"], "batch_size": 2}, "options")
    method: Any = cls(options, SearchContext(10, stem=run.config["stem"], seed=1, start=start))  # type: ignore[call-arg]
    method.to(torch.device("cpu"))
    method.begin(2)
    return method


@pytest.mark.long
@pytest.mark.parametrize("profile", ["short", "paper"])
def test_every_search_of_a_large_profile_takes_its_steps(profile: str) -> None:
    """In the epoch in which architectures are learned, and what it stands for then is a network that is counted."""
    planned = {run.signature: run for run in runs_of(profile)}
    precision = torch.bfloat16 if next(iter(planned.values())).config["precision"] == "bf16" else torch.float32
    for label, run in searches(profile).items():
        torch.manual_seed(0)
        method = begun(run, planned)
        method.enter_longest_step()
        method.supernet.train()
        batch = torch.randn(2, *SHAPE), torch.tensor([3, 7])
        before = [each.detach().clone() for each in method.supernet.parameters()]
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            sums = method.step(batch, batch if method.split.paired else None)
        assert all(bool(value.isfinite()) for value in sums.values()), label
        if method.split.paired:
            assert sums["valid_count"] == 2, f"{label}: the architecture takes its step, too"
        changed = [bool((a != b).any()) for a, b in zip(before, method.supernet.parameters(), strict=True)]
        assert any(changed), label
        counted(method.architecture(), NetworkSettings())
        if isinstance(method, SharedWeights):
            assert counted(method.architecture(), NetworkSettings())[0] == method.largest()["macs"]


def test_profiles_differ_as_they_say() -> None:
    """A tenth of the epochs of retraining in `short`, a fifth of those of searching."""
    epochs = {
        profile: {run.label: run.config["recipe"]["epochs"] for run in runs_of(profile) if run.phase == "train"}
        for profile in ("short", "paper")
    }
    assert epochs["paper"]["us_net-half"] == 10 * epochs["short"]["us_net-half"] == 600
    found = {
        profile: {label: run.config["options"].get("epochs") for label, run in searches(profile).items()}
        for profile in ("short", "paper")
    }
    for label in ("fbnetv2-half", "us_net", "mutualnet", "autoslim"):
        assert found["paper"][label] == 5 * found["short"][label]
