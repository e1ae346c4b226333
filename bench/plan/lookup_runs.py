"""The runs of a row whose last phase is a look-up in a table of trained networks instead of retrainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.plan.evaluation import as_config
from bench.plan.lookup import Lookup, seeds_as_text
from bench.plan.planned import Plan
from bench.plan.schema import given_options
from bench.plan.scoring import evaluation_of, is_scored_by_table
from bench.records.run_info import RunInfo

BY_TABLE = {"precision": "fp32", "deterministic": True, "threads": 1}
"""How a look-up computes, whatever the profile says of trainings."""


def look_up(whole: Plan, lookup: Lookup, label: str, search_seeds: Sequence[int] | None) -> None:
    """Add what a row needs whose last phase is a look-up: batches where the table scores it, else one a search seed."""
    row = whole.experiment.rows[label]
    if is_scored_by_table(row):
        for dataset in lookup.datasets:
            _batch(whole, lookup, label, dataset, search_seeds)
    elif row.method is None:
        _one(whole, lookup, label, "published", None, whole.given(label, row), [], given=row.architecture)
    else:
        for seed in whole.profile.search_seeds:
            found = whole.search(label, row, seed).signature
            _one(whole, lookup, label, row.method, seed, {"run": found, "select": None}, [found])


def _seeds(whole: Plan, label: str, search_seeds: Sequence[int] | None) -> str:
    """Those of a row's batches: those asked for, or the first ones, no more than it has lists to keep to."""
    rows = [whole.experiment.rows[name] for name in whole.experiment.rests_on(label)]
    count = min(row.table_seeds or whole.profile.table_seeds for row in rows)
    return seeds_as_text(range(min(count, whole.profile.table_seeds)) if search_seeds is None else search_seeds)


def _batch(whole: Plan, lookup: Lookup, label: str, dataset: str, search_seeds: Sequence[int] | None) -> RunInfo:
    """A row's searches on one data set of the table, all seeds in one run.

    It answers after every budget of the experiment; a row that names its own `samples` has that one alone.
    """
    row = whole.experiment.rows[label]
    assert row.method is not None
    own = given_options(whole.profile, label, row).get("samples")
    budgets, budget = ((own,), own) if own is not None else (lookup.budgets, lookup.budget)
    config = {
        "method": row.method,
        "options": {**whole.options(label, row), "samples": budgets[-1]},
        **as_config(evaluation_of(whole.experiment, whole.profile, label, row)),
        "lookup": lookup.as_config(),
        "seeds": _seeds(whole, label, search_seeds),
        "budgets": list(budgets),
        "budget": budget,
    }
    needs: list[str] = []
    if row.listed is not None:
        needs = [_batch(whole, lookup, row.listed, dataset, search_seeds).signature]
        config["listed"] = {"run": needs[0]}
    unseeded: dict[str, Any] = {"search_seed": None, "retrain_seed": None, "needs": needs}
    return whole.add(label, row.method, "lookup", config, {**BY_TABLE, "dataset": dataset}, **unseeded)


def _one(
    whole: Plan,
    lookup: Lookup,
    label: str,
    method: str,
    seed: int | None,
    architecture: dict[str, Any],
    needs: list[str],
    given: str | None = None,
) -> RunInfo:
    """The look-up of one architecture."""
    config = {"architecture": architecture, "lookup": lookup.as_config()}
    common = {**BY_TABLE, "dataset": whole.experiment.dataset_name}
    seeds: dict[str, Any] = {"search_seed": seed, "retrain_seed": None}
    return whole.add(label, method, "lookup", config, common, needs=needs, given=given, **seeds)
