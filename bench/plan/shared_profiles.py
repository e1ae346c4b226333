"""Profiles that differ from those of a shipped experiment in a few settings say so, instead of copying the rest.

    profiles:
      quick: {like: cifar10, counted: [MG_DARTS]}

is the profile `quick` of cifar10 with what is said here in its place: mappings are merged key by key, anything else is
replaced. The description is never taken over: it has to be true of this experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.config import ConfigError, nearest
from bench.strict_yaml import read_mapping
from methods.domain import shown

KEY = "like"


def with_shared(content: Mapping[str, Any], path_of: Callable[[str], Path], where: str) -> dict[str, Any]:
    """An experiment file's content with its profiles complete.

    Args:
        path_of: the file of a shipped experiment; raises ConfigError for another name.
        where: the experiment's name, for messages.

    Raises:
        ConfigError: no such experiment, no such profile of it, or one that is itself like another.
    """
    profiles = content.get("profiles")
    if not isinstance(profiles, Mapping):
        return dict(content)
    made = {name: _complete(str(name), profile, path_of, where) for name, profile in profiles.items()}
    return {**content, "profiles": made}


def _complete(name: str, profile: Any, path_of: Callable[[str], Path], where: str) -> Any:
    if not isinstance(profile, Mapping) or KEY not in profile:
        return profile
    place, other = f"{where}.profiles.{name}.{KEY}", profile[KEY]
    if not isinstance(other, str) or other.endswith((".yaml", ".yml")):
        raise ConfigError(f"{place}: {shown(other)} is not the name of a shipped experiment")
    try:
        there = read_mapping(path_of(other)).get("profiles") or {}
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    if name not in there:
        raise ConfigError(f"{place}: {other} has no profile {shown(name)}" + nearest(name, there))
    if KEY in there[name]:
        raise ConfigError(f"{place}: profile '{name}' of {other} is itself like another; name that one")
    base = {key: value for key, value in there[name].items() if key != "description"}
    return _merged(base, {key: value for key, value in profile.items() if key != KEY})


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
