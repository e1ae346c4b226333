"""Find a space by its name: it is registered beside its class, and its file is imported when somebody asks for it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from methods.architecture import ArchitectureError
from methods.domain import shown
from methods.facts import own_spaces
from methods.spaces.base import Space

_spaces: dict[str, Space] = {}

S = TypeVar("S", bound=type[Any])


def register_space(name: str, special: str, **settings: Any) -> Callable[[S], S]:
    """Make `cls(name=name, **settings)` the space called `name`. One class may be several spaces.

    Args:
        special: what `dasbench list` says of it, in one line.

    Raises:
        ArchitectureError: another class has that name already.
    """

    def add(cls: S) -> S:
        own = own_spaces().get(name)
        other = type(_spaces[name]).__module__ if name in _spaces else own.module if own else cls.__module__
        if other != cls.__module__:
            raise ArchitectureError(f"two spaces are called '{name}': {other} and {cls.__module__}")
        _spaces[name] = cls(name=name, **settings)
        return cls

    return add


def space_names() -> tuple[str, ...]:
    """Every space of this package, and of others as far as they are imported."""
    return tuple(sorted({*own_spaces(), *_spaces}))


def get_space(name: str) -> Space:
    """The space called `name`; of ours, only its own file is imported.

    Raises:
        ArchitectureError: unknown; the message names the nearest and lists all.
    """
    if name in own_spaces():
        importlib.import_module(own_spaces()[name].module)
    if name not in _spaces:
        _import_plugins()
    if name not in _spaces:
        near = difflib.get_close_matches(str(name)[:100], space_names(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ArchitectureError(f"unknown search space {shown(name)}{hint} Known spaces: {', '.join(space_names())}")
    return _spaces[name]


def _import_plugins() -> None:
    """A third-party package may register spaces beside its methods."""
    from methods.registry import broken_plugins

    broken_plugins()
