"""Find a method by its name: a decorator for ours, the entry-point group `dasbench.methods` for third parties.

A file anywhere in this package that registers a method is found by its text (`methods.facts`), and imported when
somebody asks for that method: a new method is a new file and changes no other.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from methods.base import Method, MethodError
from methods.facts import ENTRY_POINT_GROUP, KINDS, Facts, first_line, own_modules
from methods.watched import figures

_methods: dict[str, type[Method]] = {}

M = TypeVar("M", bound=type[Method])


def register(name: str, *, special: str = "", paper: str = "", space: str = "", watched: str = "") -> Callable[[M], M]:
    """Make a method class known under `name`, with what `dasbench list` says of it (`methods.facts`).

    Args:
        special: in one line, what sets the method apart; without it the first line of the class's docstring stands.
        paper: authors, venue, arXiv number.
        space: the space (or spaces) of its architectures.
        watched: where the figures of a gradient search are declared, as module:NAME (`methods.watched`).

    Raises:
        MethodError: another class has that name already, or there are no such figures.
    """

    def add(cls: M) -> M:
        other = _methods[name].__module__ if name in _methods else own_modules().get(name, cls.__module__)
        if other != cls.__module__ or _methods.get(name, cls).__qualname__ != cls.__qualname__:
            raise MethodError(f"two methods are called '{name}': {other} and {cls.__module__}")
        cls.name = name
        cls.facts = Facts(special or first_line(cls.__doc__), paper, space, _kind(cls), watched)
        if watched:
            cls.watched = figures(watched)  # type: ignore[attr-defined]
        _methods[name] = cls
        return cls

    return add


def _kind(cls: type[Method]) -> str:
    return next((KINDS[base.__name__] for base in cls.__mro__ if base.__name__ in KINDS), "")


@cache
def broken_plugins() -> Mapping[str, str]:
    """What is wrong with each third-party entry point that cannot be loaded, by its name.

    The first call loads all third-party methods; a plugin that fails keeps nobody from the rest.
    """
    broken = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry.load()
        except (Exception, SystemExit) as error:  # another's code may fail in any way
            broken[entry.name] = f"plugin '{entry.name}' ({entry.value}) cannot be loaded: {_said(error)}"
    return broken


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def all_methods() -> dict[str, type[Method]]:
    """Every known method by name, sorted; third-party packages are loaded through their entry points."""
    for module in own_modules().values():
        importlib.import_module(module)
    broken_plugins()
    return dict(sorted(_methods.items()))


def get_method(name: str) -> type[Method]:
    """The class registered under `name`; of ours, only its own file is imported, of others' all.

    Raises:
        MethodError: no such method; the message names the nearest one, lists all, and says which plugins are broken.
    """
    if name in own_modules():
        importlib.import_module(own_modules()[name])
        return _methods[name]
    broken = broken_plugins()
    if name in _methods:
        return _methods[name]
    known = sorted({*own_modules(), *_methods})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    told = "".join(f"; {text}" for text in broken.values())
    raise MethodError(f"unknown method '{name}'{hint} Known methods: {', '.join(known)}{told}")
