"""What a list says of a method or a space: declared beside the thing, and read from its source without importing torch.

A method declares its facts where it is registered; whoever says nothing is listed by the first line of its docstring:

    @register("darts", special="...", paper="Liu et al., ICLR 2019, arXiv 1806.09055", space="darts_cell")

and a space:

    @register_space("darts_cell", "a normal and a reduction cell of 4 nodes, ...")

and an operation of cells:

    @register_operation("sep_conv", {"sep_conv_3x3": 3, "sep_conv_5x5": 5}, inner_width=True)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeGuard

from methods.domain import MethodError

ENTRY_POINT_GROUP = "dasbench.methods"
"""Under which installed packages name the modules of their methods."""
FOLDER = Path(__file__).parent
KINDS = {"GradientSearch": "gradient search", "SamplingSearch": "sampling search", "Transform": "transform"}
"""The three contracts of `methods.base` by the words of a list."""
_REGISTERS = re.compile(r"^from methods\.registry import .*\bregister\b", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)\(([^)]*)\)", re.MULTILINE)


@dataclass(frozen=True)
class Facts:
    """One line of what is special about a method, its paper, the space it works in ("" where unknown), its kind, and
    where its figures are declared (`methods.watched.figures`)."""

    special: str
    paper: str = ""
    space: str = ""
    kind: str = ""
    watched: str = ""


def first_line(text: str | None) -> str:
    """Of a docstring."""
    return (text or "").strip().partition("\n")[0]


def own_methods() -> Mapping[str, Facts]:
    """The facts of every method of this package, by name."""
    return {name: facts for name, (_, facts) in _own().items()}


def own_modules() -> Mapping[str, str]:
    """By the name of every method of this package, the module that registers it. Nothing is imported for that.

    Raises:
        MethodError: two files register one name.
    """
    return {name: module for name, (module, _) in _own().items()}


@cache
def _own() -> Mapping[str, tuple[str, Facts]]:
    found: dict[str, tuple[str, Facts]] = {}
    for path, text in _sources().items():
        module = _module(path)
        for name, facts in declared(text) if _REGISTERS.search(text) else ():
            if name in found:
                raise MethodError(f"two methods are called '{name}': {found[name][0]} and {module}")
            found[name] = module, facts
    return dict(sorted(found.items()))


def _module(path: Path) -> str:
    parts = [FOLDER.name, *path.relative_to(FOLDER).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True)
class SpaceFacts:
    """One line of what is special about a space, and the module that registers it."""

    special: str
    module: str


@cache
def own_spaces() -> Mapping[str, SpaceFacts]:
    """Every space of this package, by name. Nothing is imported for that.

    Raises:
        MethodError: two files register one name.
    """
    found: dict[str, SpaceFacts] = {}
    for path, text in _sources().items():
        for call in _registrations(text, "register_space"):
            name, special = map(ast.literal_eval, call.args)
            if name in found:
                raise MethodError(f"two spaces are called '{name}': {found[name].module} and {_module(path)}")
            found[name] = SpaceFacts(special, _module(path))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class OperationFacts:
    """What follows from the name of an operation of cells.

    Attributes:
        family: the class that it is of, by the name it is registered under.
        kernel: height and width in pixels; 0 where it has none.
        module: that registers it.
        keeps_width_at: strides at which it has no filters of its own, and gives as many channels as it gets.
        inner_width: whether there are channels inside that are neither its input's nor its output's.
        pool: whether it is normalised as a genotype's conventions say of pools.
        multiple: of how many channels its input has a multiple.
    """

    family: str
    kernel: int
    module: str
    keeps_width_at: tuple[int, ...] = ()
    inner_width: bool = False
    pool: bool = False
    multiple: int = 1


@cache
def own_operations() -> Mapping[str, OperationFacts]:
    """Every operation of cells of this package, by name. Nothing is imported for that.

    Raises:
        MethodError: two files register one name.
    """
    found: dict[str, OperationFacts] = {}
    for path, text in _sources().items():
        for call in _registrations(text, "register_operation"):
            family, kernels = map(ast.literal_eval, call.args)
            given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
            for name, kernel in kernels.items():
                if name in found:
                    raise MethodError(f"two operations are called '{name}': {found[name].module} and {_module(path)}")
                found[name] = OperationFacts(family, kernel, _module(path), **given)
    return found


def declared(source: str) -> Iterator[tuple[str, Facts]]:
    """Names and facts of the classes that a module's text registers."""
    if "@register(" not in source:
        return
    for node in ast.parse(source).body:
        for call in getattr(node, "decorator_list", []):
            if isinstance(node, ast.ClassDef) and _is_registration(call):
                given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
                special = given.pop("special", "") or first_line(ast.get_docstring(node))
                bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                yield ast.literal_eval(call.args[0]), Facts(special, kind=_kind(bases), **given)


def _registrations(source: str, decorator: str) -> Iterator[ast.Call]:
    """The calls of a decorator over the classes of a module's text."""
    for node in ast.parse(source).body if f"@{decorator}(" in source else ():
        for call in getattr(node, "decorator_list", []):
            if _is_registration(call, decorator):
                yield call


def _is_registration(node: ast.expr, decorator: str = "register") -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == decorator


@cache
def _sources() -> Mapping[Path, str]:
    return {path: path.read_text() for path in sorted(FOLDER.rglob("*.py"))}


@cache
def _bases() -> Mapping[str, list[str]]:
    """The base classes of every class of this package, by the class's name."""
    found = (match for text in _sources().values() for match in _CLASS.finditer(text))
    return {match[1]: [base.strip().rpartition(".")[2] for base in match[2].split(",")] for match in found}


def _kind(bases: list[str]) -> str:
    for base in bases:
        kind = KINDS.get(base) or _kind(_bases().get(base, []))
        if kind:
            return kind
    return ""
