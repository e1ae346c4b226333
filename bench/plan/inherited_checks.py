"""What cannot be with inherited weights, refused before anything runs."""

from __future__ import annotations

from bench.config import ConfigError
from bench.plan.schema import Experiment, Row
from methods.base import SharedWeights
from methods.registry import get_method


def check_inherited(experiment: Experiment, label: str, row: Row, where: str) -> None:
    """Raises ConfigError for a row that has no weights to inherit, or that asks for what only a training has."""
    if row.method is None or not issubclass(get_method(row.method), SharedWeights):
        named = row.method or "a given architecture"
        raise ConfigError(
            f"{where}: 'weights: inherited' is for methods whose product is a set of networks on one set of weights; "
            f"{named} gives none, leave it out"
        )
    if row.recipe is not None:
        raise ConfigError(f"{where}: nothing is trained with inherited weights; leave 'recipe' out")
    if experiment.lookup is not None:
        raise ConfigError(f"{where}: the experiment looks all rows up in a table; leave 'weights' out")
    for other, its in experiment.rows.items():
        if label in (its.of, its.match.row if its.match else None):
            raise ConfigError(
                f"{experiment.name}.rows.{other}: row '{label}' has inherited weights and is not retrained; name a row "
                "of the same method without 'weights'"
            )
    for name, profile in experiment.profiles.items():
        if label in profile.also:
            raise ConfigError(f"{experiment.name}.profiles.{name}.also: {label} has inherited weights: no recipe's")
