"""Rows whose searches keep to a list that another row's search leaves: a shrunk space as a search's space.

    evolution-in-list: {method: regularized_evolution, listed: lissnas}

Its search waits for the other row's of the same search seed. Where that one kept the whole space, it searches in all of
it.
"""

from __future__ import annotations

from bench.config import ConfigError, nearest
from bench.plan.schema import Experiment, Profile, Row
from bench.plan.scoring import is_scored_by_table, space_of
from methods.base import Method, SamplingSearch
from methods.domain import shown
from methods.registry import get_method


def check_listed(experiment: Experiment, label: str, row: Row, method: type[Method], where: str) -> None:
    """Raises ConfigError for a row that can keep to no list, or names one that leaves none."""
    if row.listed is None:
        return
    if not issubclass(method, SamplingSearch):
        raise ConfigError(f"{where}: {row.method} proposes no architectures one by one; leave 'listed' out")
    if row.listed not in experiment.rows:
        raise ConfigError(f"{where}: unknown row {shown(row.listed)}" + nearest(row.listed, experiment.rows))
    other = experiment.rows[row.listed]
    cls = get_method(other.method) if other.method is not None else None
    if cls is None or not issubclass(cls, SamplingSearch) or not cls.shrinks:
        raise ConfigError(f"{where}: row '{row.listed}' does not shrink its space; name one of lissnas with 'listed'")
    if label in experiment.rests_on(row.listed):
        raise ConfigError(f"{where}: it would wait for itself, by way of row '{row.listed}'; name another")
    if is_scored_by_table(row) != is_scored_by_table(other):
        raise ConfigError(f"{where}: a table scores one of it and row '{row.listed}'; both need the same evaluator")
    if row.match is not None:
        raise ConfigError(f"{where}: what is drawn at a size keeps to no list; leave 'match' or 'listed' out")


def check_same_space(experiment: Experiment, profile: Profile, label: str, row: Row, where: str) -> None:
    """Raises ConfigError when the list is of another space."""
    if row.listed is None:
        return
    own, listed = (space_of(profile, name, experiment.rows[name]) for name in (label, row.listed))
    if own != listed:
        raise ConfigError(f"{where}: it searches in {own}, and row '{row.listed}' lists networks of {listed}")
