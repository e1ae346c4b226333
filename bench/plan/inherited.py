"""The runs of a row of networks on a search's weights: evaluated as they are, instead of retrainings."""

from __future__ import annotations

from bench.config import identity
from bench.plan.planned import Plan


def inherit(whole: Plan, label: str) -> None:
    """Add a row's searches, and for each of them the evaluation of what it selects, or of its whole family."""
    row = whole.experiment.rows[label]
    assert row.method is not None
    for seed in whole.profile.search_seeds:
        found = whole.search(label, row, seed).signature
        select = identity(row.select) if row.select else None
        config = {"architecture": {"run": found, "select": select}, "network": whole.network}
        whole.add(label, row.method, "inherit", config, search_seed=seed, retrain_seed=None, needs=[found])
