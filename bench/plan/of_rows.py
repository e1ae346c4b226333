"""Rows that are made of another one: transforms of its trained network, and searches that start from what it has.

    half: {method: l1_filter_pruning, of: DARTS_V2}
    adapted: {method: dna, of: small}
    stages: {method: hs_das, of: darts}

A transform's runs are the other row's training, the transform itself, and a training for each line. A search that
starts from an architecture rests on the other row's search; one that starts from a trained network (`starts_from` of
the method) on its training, and there is one search for each of its retrain seeds. One that `may_start_from` another
row's architecture need not. What such a row finds can be
another's start; what a transform makes cannot yet.

    stages: {method: hs_das, of: {experiment: cifar10, row: darts}}

starts from what another experiment's search found: from a transferred row (`bench.plan.transfers`) that is made for it
and has no line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from bench.config import ConfigError, nearest
from bench.plan.schema import Experiment, Profile, Row
from bench.plan.scoring import space_of
from methods.architecture import ArchitectureError
from methods.base import Method, MethodError, Transform
from methods.domain import shown
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import get_space, space_names
from methods.spaces.base import resting


def with_sources(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An experiment file's content, in which rows that start from another experiment's start from a row made for it.

    Args:
        where: the experiment's name, for messages.

    Raises:
        ConfigError: a row is called as the one that would be made, or does not say which row of the other it is.
    """
    rows = content.get("rows")
    if not isinstance(rows, Mapping):
        return dict(content)
    made: dict[Any, Any] = {}
    own: dict[Any, Any] = {}
    for label, row in rows.items():
        of = row.get("of") if isinstance(row, Mapping) else None
        if not isinstance(of, Mapping):
            own[label] = row
            continue
        name = _source_name(of, f"{where}.rows.{label}.of")
        if name in rows:
            raise ConfigError(f"{where}.rows.{label}.of: there is a row '{name}' already; name that one, or rename it")
        made[name] = {"transfer": dict(of), "line": False}
        own[label] = {**row, "of": name}
    return {**content, "rows": {**own, **made}}


def _source_name(of: Mapping[str, Any], where: str) -> str:
    for key in ("experiment", "row"):
        if not isinstance(of.get(key), str):
            raise ConfigError(f"{where}: '{key}' is missing; give the other experiment and its row")
    profile = f"-{of['profile']}" if of.get("profile") else ""
    return f"{of['row']}-of-{PurePath(of['experiment']).stem}{profile}"


def check_lines(experiment: Experiment) -> None:
    """Raises ConfigError for a row without a line that no other row starts from or is as large as."""
    others = [label for label, row in experiment.rows.items() if row.line]
    needed = {name for label in others for name in experiment.rests_on(label)}
    for label, row in experiment.rows.items():
        if not row.line and label not in needed:
            raise ConfigError(
                f"{experiment.name}.rows.{label}: it has no line, and no row with one starts from it; leave 'line' out"
            )


def is_transform(row: Row) -> bool:
    return row.method is not None and issubclass(get_method(row.method), Transform)


def starts_from_training(experiment: Experiment, label: str) -> bool:
    """Whether a row's search rests on a training, so that there is one for each retrain seed."""
    seen: list[str] = []
    while (row := experiment.rows[label]).of is not None and row.method is not None and label not in seen:
        if get_method(row.method).starts_from == "network":
            return True
        seen.append(label)
        label = row.of
    return False


def check_of(experiment: Experiment, label: str, row: Row, method: type[Method], where: str) -> None:
    """Raises ConfigError when a row names no other one that it needs, or one that it cannot be made of."""
    transforms, start = issubclass(method, Transform), method.starts_from
    if transforms and row.of is None:
        raise ConfigError(f"{where}: {row.method} changes a trained network; name its row with 'of'")
    if not transforms and row.of is None and start != "nothing":
        wanted = "trained network" if start == "network" else "architecture"
        raise ConfigError(f"{where}: {row.method} starts from another row's {wanted}; name that row with 'of'")
    if not transforms and row.of and start == "nothing" and not method.may_start_from:
        raise ConfigError(f"{where}: 'of' belongs to transforms; {row.method} searches from nothing")
    for other in [row.of, row.match.row if row.match else None]:
        if other is not None and other not in experiment.rows:
            raise ConfigError(f"{where}: unknown row {shown(other)}" + nearest(other, experiment.rows))
        if other is not None and experiment.rows[other].of is not None and _transforms(experiment.rows[other]):
            raise ConfigError(
                f"{where}: row '{other}' is itself a transform; name the row of a search or an architecture"
            )
    if row.of is not None and label in experiment.rests_on(row.of):
        raise ConfigError(f"{where}: it would start from itself, by way of row '{row.of}'; name another with 'of'")


def check_rest(experiment: Experiment, profile: Profile, label: str, row: Row, where: str) -> None:
    """Raises ConfigError when a search cannot use what the row has that it starts from, as far as is known by now."""
    if row.of is None or row.method is None or not get_method(row.method).may_start_from:
        return
    other = experiment.rows[row.of]
    own, found = (space_of(profile, name, experiment.rows[name]) for name in (label, row.of))
    if own not in space_names() or found not in space_names():
        return
    known = published(other.published) if other.published is not None else get_space(found).reference()
    try:
        resting(get_space(own), [known])
    except ArchitectureError as error:
        raise ConfigError(f"{where} with rows.{label}.of: {error}") from None


def _transforms(row: Row) -> bool:
    """As `is_transform`; a row of an unknown method, which is refused at its own place, is none."""
    try:
        return is_transform(row)
    except MethodError:
        return False
