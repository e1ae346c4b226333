"""Domains of options: what a field may be, declared once beside it and checked whenever an instance is made.

    @dataclass(frozen=True)
    class Options:
        epochs: int = field(default=50, metadata=within("[1, 100000]"))
        momentum: float = field(default=0.9, metadata=within("[0, 1)"))

        def __post_init__(self) -> None:
            check(self)

The type is part of the domain: a float is a finite number, a `Literal` one of its values. Lists and mappings are
checked entry by entry, and None passes where the type allows it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

KEY = "domain"
SHOWN = 60
"""Characters of a value that a message repeats."""
_BOUNDS = re.compile(r"([\[(])\s*([\w.+-]+)\s*,\s*([\w.+-]+)\s*([\])])")


class MethodError(ValueError):
    """Options that a method cannot work with, or a state it cannot continue from."""


class Domain(Protocol):
    """A set of values; its text continues the sentence "it must be"."""

    def __contains__(self, value: object) -> bool: ...

    def describe(self, kind: str) -> str:
        """In words; `kind` is "a number" or "a whole number"."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """Numbers between two bounds, which belong to it or do not. NaN and infinities are in none."""

    low: float
    high: float
    has_low: bool
    has_high: bool

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
            return False
        above = value >= self.low if self.has_low else value > self.low
        return above and (value <= self.high if self.has_high else value < self.high)

    def describe(self, kind: str) -> str:
        if self.high == math.inf:
            return f"{kind}, {'at least' if self.has_low else 'above'} {self.low:g}"
        if not self.has_low and not self.has_high:
            return f"{kind} strictly between {self.low:g} and {self.high:g}"
        ends = "[" if self.has_low else "(", "]" if self.has_high else ")"
        return f"{kind} in {ends[0]}{self.low:.15g}, {self.high:.15g}{ends[1]}"


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Texts that a regular expression matches as a whole."""

    expression: str
    words: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.expression, value) is not None

    def describe(self, kind: str) -> str:
        return self.words


def within(interval: str) -> dict[str, Any]:
    """Metadata of a field whose numbers lie in an interval, as mathematics writes it: "[0, 1)" has 0 and not 1."""
    found = _BOUNDS.fullmatch(interval)
    if found is None:
        raise ValueError(f"'{interval}' is not an interval; write [0, 1), (0, inf) and the like")
    return {KEY: Interval(float(found[2]), float(found[3]), found[1] == "[", found[4] == "]")}


def matching(expression: str, words: str) -> dict[str, Any]:
    """Metadata of a field whose text matches; `words` say what that means, after "it must be"."""
    return {KEY: Pattern(expression, words)}


def check(options: Any, error: type[ValueError] = MethodError) -> None:
    """Raise `error` for the first field of a dataclass that is outside its domain: its name, its value, the domain."""
    cls: Any = type(options)
    for name, (kind, domain) in _fields(cls).items():
        value = getattr(options, name)
        if not _fits(kind, value) or (domain is not None and any(entry not in domain for entry in _entries(value))):
            raise error(f"{name} is {shown(value)}; it must be {_words(kind, domain)}")


def shown(value: object) -> str:
    """A value for a message: as Python writes it, cut where it is long."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, list | tuple | Mapping) and len(value) > SHOWN:
        return f"{type(value).__name__} of {len(value)}"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or endless nesting, inside
        return f"{type(value).__name__} that cannot be shown"
    return text if len(text) <= SHOWN else text[:SHOWN] + " ..."


@cache
def _fields(cls: Any) -> dict[str, tuple[Any, Domain | None]]:
    """Type and domain of every field; a subclass that gives a field another default keeps its domain."""
    hints = get_type_hints(cls)
    found: dict[str, tuple[Any, Domain | None]] = {}
    for field in dataclasses.fields(cls):
        inherited = (getattr(base, "__dataclass_fields__", {}).get(field.name) for base in cls.__mro__)
        domains = (base.metadata.get(KEY) for base in inherited if base is not None)
        found[field.name] = hints[field.name], next((domain for domain in domains if domain is not None), None)
    return found


@cache
def _form(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


def _fits(kind: Any, value: object) -> bool:
    """Whether a value is of a type as annotations write it; an int is a float, a bool is no number."""
    if kind is Any or (kind is type(value) and kind is not float):
        return True
    origin, arguments = _form(kind)
    if origin is None and isinstance(kind, type) and kind not in (int, float):
        return isinstance(value, kind)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return any(_fits(choice, value) for choice in arguments)
    if origin in (list, tuple):
        return _fits_sequence(arguments, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = arguments[-1]
        return isinstance(value, Mapping) and (item is Any or all(_fits(item, entry) for entry in value.values()))
    if kind is float and isinstance(value, float):
        return math.isfinite(value)
    if kind in (int, float):
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(kind, type) or isinstance(value, kind)


def _fits_sequence(arguments: tuple[Any, ...], value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    if len(arguments) < 2 or arguments[-1] is Ellipsis:
        return all(_fits(arguments[0], item) for item in value) if arguments else True
    return len(value) == len(arguments) and all(_fits(kind, item) for kind, item in zip(arguments, value, strict=True))


def _entries(value: object) -> Iterator[object]:
    """What a domain speaks of: a value itself, or the entries of a list or mapping."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _entries(entry)
    elif value is not None:
        yield value


def _words(kind: Any, domain: Domain | None) -> str:
    """A domain in words, after "it must be"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = [choice for choice in arguments if choice is not type(None)]
        none = " or none" if len(inner) < len(arguments) else ""
        return " or ".join(_words(choice, domain) for choice in inner) + none
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (list, tuple) and arguments:
        number = len(arguments) if origin is tuple and len(arguments) > 1 and arguments[-1] is not Ellipsis else 0
        return f"a list{f' of {number}' * bool(number)}, each {_words(arguments[0], domain)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping, each value {_words(arguments[-1], domain)}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    word = plain.get(kind, getattr(kind, "__name__", str(kind)))
    return word if domain is None else domain.describe(word)
