"""The runs that follow from an experiment: each one phase of one row with its seeds, after those that it needs.

A run's signature is the hash of everything that decides its result, so that two rows that need the same search share
it, and running again does only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.config import ConfigError, nearest
from bench.plan.lookup_runs import look_up
from bench.plan.planned import Plan
from bench.plan.schema import Experiment
from bench.records.directory import RunInfo
from methods.domain import shown


def retrain(whole: Plan, label: str) -> None:
    """Add what a row needs whose last phase is a training with every pair of seeds."""
    row, profile = whole.experiment.rows[label], whole.profile
    base = whole.experiment.rows[row.of] if row.of else row
    searched = base.method is not None
    for retrain_seed in profile.retrain_seeds if searched else profile.given_seeds or profile.retrain_seeds:
        for search_seed in profile.search_seeds if searched else (None,):
            if row.of:
                whole.transform(label, row, (search_seed, retrain_seed))
            else:
                whole.dense(label, (search_seed, retrain_seed))
            for recipe in profile.also.get(label, ()):
                whole.dense(label, (search_seed, retrain_seed), recipe=recipe)


def plan(
    experiment: Experiment,
    profile: str,
    rows: Sequence[str] | None = None,
    search_seeds: Sequence[int] | None = None,
    retrain_seeds: Sequence[int] | None = None,
    memory: str | None = None,
) -> list[RunInfo]:
    """All runs of an experiment at a profile, in an order that respects `needs`.

    Args:
        rows: labels to run (all by default); what they need of other rows is included.
        search_seeds, retrain_seeds: instead of the profile's.
        memory: the option `memory` of every search that has it.

    Raises:
        ConfigError: unknown profile or row, an option a method does not have, or `memory` where nothing has it.
    """
    whole = Plan(experiment, profile, memory)
    if search_seeds is not None:
        whole.profile = replace(whole.profile, search_seeds=tuple(search_seeds))
    if retrain_seeds is not None:
        whole.profile = replace(whole.profile, retrain_seeds=tuple(retrain_seeds), given_seeds=None)
    for label in rows or experiment.rows:
        if label not in experiment.rows:
            raise ConfigError(
                f"experiment {experiment.name}: unknown row {shown(label)}" + nearest(label, experiment.rows)
            )
    if experiment.lookup is not None and retrain_seeds is not None:
        raise ConfigError(f"experiment {experiment.name} retrains nothing: a table answers; leave --retrain-seeds out")
    for label in rows or experiment.rows:
        if experiment.lookup is None:
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
