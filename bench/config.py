"""Strict reading of configuration into dataclasses; a mistake is named with its place and the nearest name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.names import one_line
from methods.domain import check, shown

T = TypeVar("T")

LONGEST_NAME = 100
"""Characters of a name that are compared with others; comparing takes time with their square."""

_PLAIN = (str, int, float, bool)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says where, what, and what would be valid."""


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of an error message: the most similar known name, and all of them."""
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name)[:LONGEST_NAME], names, n=1, cutoff=0.5)
    return (f"; did you mean '{close[0]}'?" if close else ".") + f" Valid: {', '.join(names)}"


@cache
def _hints(cls: Any) -> Mapping[str, Any]:
    """The types of a dataclass' fields; working them out takes longer than all the rest of reading a record."""
    return get_type_hints(cls)


@cache
def _settable(cls: Any) -> Mapping[str, bool]:
    """The fields that are given to a dataclass, and whether they must be."""
    missing = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return {field.name: field.default is missing and field.default_factory is missing for field in fields}


@cache
def _form(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


def parse(cls: type[T], value: Any, where: str) -> T:
    """Make a `cls` (a dataclass) of a mapping; `where` names its place in messages.

    Raises:
        ConfigError: unknown or missing key, or a value of the wrong type or outside its domain (`methods.domain`).
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, found {shown(value)}")
    kind: Any = cls
    hints = _hints(kind)
    fields = _settable(kind)
    for key in value:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {shown(key)}" + nearest(key, fields))
    for name, required in fields.items():
        if required and name not in value:
            raise ConfigError(f"{where}: '{name}' is missing")
    arguments = {key: _convert(hints[key], item, f"{where}.{key}") for key, item in value.items()}
    try:
        made = cls(**arguments)
        check(made, ConfigError)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return made


def fill_preset(cls: type[Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What `given` names as its `preset`, a named set in `cls.PRESETS`, filled in; what is given itself goes before it.

    Raises:
        ConfigError: no such preset.
    """
    presets, name = getattr(cls, "PRESETS", {}), given.get("preset")
    if "preset" not in given or not presets:
        return dict(given)
    if not isinstance(name, str) or name not in presets:
        raise ConfigError(f"{where}: unknown preset {shown(name)}" + nearest(name, presets))
    return {**presets[name], **{key: value for key, value in given.items() if key != "preset"}}


def identity(value: Any) -> Any:
    """A dataclass as plain values, for what a signature is made of.

    An option that did not always exist declares, as `field(default=..., metadata={"absent": value})`, the value that
    stands for how things were before. While the field has that value it is left out, so that a new option gives no old
    run another signature. `restore` reads the result back.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = (field for field in dataclasses.fields(value) if not _is_absent(field, getattr(value, field.name)))
        return {field.name: identity(getattr(value, field.name)) for field in kept}
    if isinstance(value, Mapping):
        return {key: identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(identity(item) for item in value)
    return value


def _is_absent(field: dataclasses.Field[Any], value: object) -> bool:
    return "absent" in field.metadata and value == field.metadata["absent"]


def restore(cls: type[T], stored: Any, where: str) -> T:
    """The `cls` whose `identity` was recorded: a field that is not there has its "absent" value, not its default.

    Raises:
        ConfigError: as `parse`.
    """
    return parse(cls, _with_absent(cls, stored), where)


def _with_absent(kind: Any, stored: Any) -> Any:
    if not (dataclasses.is_dataclass(kind) and isinstance(stored, Mapping)):
        return stored
    cls: Any = kind
    hints = _hints(cls)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    absent = {field.name: field.metadata["absent"] for field in fields if "absent" in field.metadata}
    return absent | {key: _with_absent(hints.get(key), item) for key, item in stored.items()}


def _convert(kind: Any, value: Any, where: str) -> Any:
    if kind is Any or (kind is type(value) and kind in _PLAIN):
        return value
    origin, arguments = _form(kind)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise ConfigError(f"{where}: {shown(value)} is not possible" + nearest(value, arguments))
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, found {shown(value)}")
        item = arguments[0] if arguments else Any
        return origin(_convert(item, entry, f"{where}[{n}]") for n, entry in enumerate(value))
    if origin in (dict, typing.cast(Any, Mapping)) or kind is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a mapping, found {shown(value)}")
        item = arguments[1] if len(arguments) == 2 else Any
        if item is Any:
            return {str(key): entry for key, entry in value.items()}
        return {str(key): _convert(item, entry, f"{where}.{one_line(str(key))}") for key, entry in value.items()}
    if dataclasses.is_dataclass(kind):
        return parse(typing.cast(Any, kind), value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    errors: list[tuple[int, str]] = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _convert(kind, value, where)
            except ConfigError as error:
                errors.append((_likeness(kind, value), str(error)))
    raise ConfigError(max(errors, key=lambda error: error[0])[1])


def _likeness(kind: Any, value: Any) -> int:
    """How much a value that is none of several kinds looks like this one, of which its mistake is then told."""
    if not isinstance(value, Mapping) or not dataclasses.is_dataclass(kind):
        return 0
    return 1 + len({field.name for field in dataclasses.fields(kind)} & value.keys())


def _convert_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where}: expected a number, found {shown(value)}") from None
    if kind is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where}: expected {kind.__name__}, found {shown(value)}")
    return value


def seconds_of(variable: str, default: float, least: float = 0.1) -> float:
    """A number of seconds from an environment variable.

    Raises:
        ConfigError: it is no number from `least` on.
    """
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not least <= seconds < math.inf:
        raise ConfigError(
            f"the environment variable {variable} is {shown(text)}; it must be a number of seconds, at least {least:g}"
        )
    return seconds
