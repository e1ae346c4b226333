"""The runs that follow from an experiment: each one phase of one row with its seeds, after those that it needs.

A run's signature is the hash of everything that decides its result, so that two rows that need the same search share
it, and running again does only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.config import ConfigError, nearest
from bench.plan.comparison_runs import compare
from bench.plan.inherited import inherit
from bench.plan.lookup_runs import look_up
from bench.plan.of_rows import is_transform
from bench.plan.planned import Plan
from bench.plan.schema import Experiment
from bench.plan.transfers import Transfers
from bench.plan.transform_runs import transform
from bench.records.directory import RunInfo
from methods.domain import shown


def retrain(whole: Plan, label: str) -> None:
    """Add what a row needs whose last phase is a training with every pair of seeds."""
    row, profile = whole.experiment.rows[label], whole.profile
    if label in profile.counted:
        whole.count(label)
        return
    search_seeds = _search_seeds(whole, label)
    searched = None not in search_seeds
    for retrain_seed in profile.retrain_seeds if searched else profile.given_seeds or profile.retrain_seeds:
        for search_seed in search_seeds:
            if is_transform(row):
                transform(whole, label, row, (search_seed, retrain_seed))
            else:
                for kind in whole.lines(row):
                    whole.dense(label, (search_seed, retrain_seed), kind=kind)
            for recipe in profile.also.get(label, ()):
                whole.dense(label, (search_seed, retrain_seed), recipe=recipe)


def _search_seeds(whole: Plan, label: str) -> Sequence[int | None]:
    """The profile's, those that were found elsewhere, or None where nobody searches; of a row that starts from another
    one, that one's where it has some."""
    row = whole.experiment.rows[label]
    if row.transfer is not None:
        return sorted(whole.transferred.get(label, ()))
    if row.of is not None:
        below = _search_seeds(whole, row.of)
        if is_transform(row) or None not in below:
            return below
    return whole.profile.search_seeds if row.method is not None else (None,)


def _no_line(experiment: Experiment, label: str) -> str:
    if label in experiment.rows:
        return f"row {shown(label)} is only what others start from; name one of {', '.join(experiment.lines)}"
    return f"unknown row {shown(label)}" + nearest(label, experiment.lines)


def plan(
    experiment: Experiment,
    profile: str,
    rows: Sequence[str] | None = None,
    search_seeds: Sequence[int] | None = None,
    retrain_seeds: Sequence[int] | None = None,
    memory: str | None = None,
    transfers: Transfers | None = None,
) -> list[RunInfo]:
    """All runs of an experiment at a profile, in an order that respects `needs`.

    Args:
        rows: labels to run (all by default); what they need of other rows is included.
        search_seeds, retrain_seeds: instead of the profile's.
        memory: the option `memory` of every search that has it.
        transfers: what is there of other experiments' searches; rows that start from one that is not have no runs.

    Raises:
        ConfigError: unknown profile or row, an option a method does not have, or `memory` where nothing has it.
    """
    transfers = transfers or Transfers()
    whole = Plan(experiment, profile, memory, transfers.found)
    if search_seeds is not None:
        whole.profile = replace(whole.profile, search_seeds=tuple(search_seeds))
    if retrain_seeds is not None:
        whole.profile = replace(whole.profile, retrain_seeds=tuple(retrain_seeds), given_seeds=None)
    for label in rows or experiment.lines:
        if label not in experiment.lines:
            raise ConfigError(f"experiment {experiment.name}: {_no_line(experiment, label)}")
    if experiment.lookup is not None and retrain_seeds is not None:
        raise ConfigError(f"experiment {experiment.name} retrains nothing: a table answers; leave --retrain-seeds out")
    for label in rows or experiment.lines:
        if transfers.left_out(experiment, label):
            continue
        if (asked := experiment.rows[label].compare) is not None:
            compare(whole, label, asked)
        elif experiment.rows[label].weights == "inherited":
            inherit(whole, label)
        elif experiment.lookup is None:
            retrain(whole, label)
        else:
            look_up(whole, experiment.lookup, label, search_seeds)
    runs = list(whole.runs.values())
    if memory and not any("memory" in info.config.get("options", {}) for info in runs):
        raise ConfigError(
            f"experiment {experiment.name}: no search of these rows has the option 'memory'; leave --memory out, or "
            "name rows of DARTS or PC-DARTS"
        )
    return runs
