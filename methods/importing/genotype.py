"""`Genotype(normal=[...], normal_concat=..., reduce=[...], reduce_concat=...)`: DARTS and all who took its notation.

Found in Python modules (top-level assignments), in logs of searches, in YAML and shell scripts, and alone. The text is
parsed, never run.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from methods.architecture import ArchitectureError
from methods.importing import mg_darts
from methods.importing.cells import ForeignCell, joined, read_cell
from methods.importing.found import Choices, Format, Found, Imported, shorten
from methods.importing.literals import literal, parse
from methods.importing.placing import place

NAME = "Genotype(...) in the notation of DARTS"
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
CALL = re.compile(r"(?<![\w.])(?P<function>(?:\w+\.)*\w*Genotype)\s*\(")
ASSIGNED = re.compile(r"(?P<name>[A-Za-z0-9_][\w.\-]*)\s*[=:]\s*[\"']?$")


@dataclass(frozen=True)
class Call:
    """A genotype as it is written: which function is called, and the text of the call."""

    name: str | None
    line: int
    function: str
    text: str


def find(text: str) -> list[Found]:
    """Every genotype of a text. In Python text only assignments and expressions at the top level count."""
    if "Genotype" not in text:
        return []
    stripped = text.strip().replace("\r\n", "\n").replace("\r", "\n")  # lines as Python counts them
    tree: ast.Module | None
    try:
        tree = cast(ast.Module, parse(stripped, "exec"))
    except ArchitectureError:
        tree = None
    if tree is None or _is_a_log(tree):
        calls = list(_scan(text))
    else:
        lines_before = text[: len(text) - len(text.lstrip())].count("\n")
        calls = list(_assignments(tree, stripped.split("\n"), lines_before))
    return [Found(call.name, call.line, NAME, call.text, partial(read, call)) for call in calls]


def read(call: Call, where: str, choices: Choices) -> Imported:
    """One genotype as an architecture.

    Raises:
        ArchitectureError: what is wrong with it, and where.
    """
    try:
        tree = parse(call.text, "eval")
        assert isinstance(tree, ast.Expression)
        arguments = _arguments(tree.body)
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}") from None
    provenance = {"imported_from": where, "form": NAME}
    if "gene" in arguments:
        return mg_darts.read(arguments, where, choices, provenance)
    choices.only("a genotype of two cells", "conventions", "concat")
    _check_fields(arguments, where)
    cells = {kind: _cell(arguments, kind, where, choices) for kind in ("normal", "reduce")}
    family = "fairdarts" if any(cell.explicit for cell in cells.values()) else None
    return place(cells, where, choices, provenance, name=call.name, family=family, doubt=_doubt(call.function))


def _doubt(function: str) -> str | None:
    if function.rpartition(".")[2] != "DARTSGenotype":
        return None
    return (
        "a DARTSGenotype of confopt, whose networks normalise after pools where DARTS' do not: say --conventions "
        "mdenas for networks as confopt builds them, or --conventions darts"
    )


def _cell(arguments: dict[str, Any], kind: str, where: str, choices: Choices) -> ForeignCell:
    concat, value = arguments.get(f"{kind}_concat"), arguments[kind]
    if concat is not None and choices.concat is not None:
        raise ArchitectureError(f"{where}: the text has {kind}_concat; leave --concat out")
    if concat is None and choices.concat is None:
        raise ArchitectureError(
            f"{where}, {kind} cell: no {kind}_concat; say --concat all (all nodes are joined to the output) or "
            "--concat loose (those that no other node reads)"
        )
    if concat is not None:
        return read_cell(value, concat, f"{where}, {kind} cell")
    unjoined = read_cell(value, [0], f"{where}, {kind} cell")
    return replace(unjoined, concat=tuple(joined(unjoined.edges, str(choices.concat))))


def _check_fields(arguments: dict[str, Any], where: str) -> None:
    for name, value in arguments.items():
        if name not in FIELDS and value is not None:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ";"
            raise ArchitectureError(f"{where}: unknown '{shorten(name)}'{hint} a genotype has {', '.join(FIELDS)}")
    for kind in ("normal", "reduce"):
        if arguments.get(kind) is None:
            raise ArchitectureError(f"{where}: no {kind} cell; a genotype has {', '.join(FIELDS)}")


def _arguments(node: ast.expr) -> dict[str, Any]:
    """The keyword arguments of a call, as literals."""
    assert isinstance(node, ast.Call)
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ArchitectureError("arguments without a name; write normal=..., normal_concat=..., reduce=..., ...")
    found: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg in found:
            raise ArchitectureError(f"'{shorten(keyword.arg)}' stands there twice")
        try:
            found[str(keyword.arg)] = literal(keyword.value)
        except ArchitectureError as error:
            raise ArchitectureError(f"{shorten(keyword.arg)}: {error}") from None
    return found


def _is_a_log(tree: ast.Module) -> bool:
    """Lines that happen to be Python, such as `INFO - Genotype(...)`: expressions that nobody writes in a module."""
    expressions = [statement.value for statement in tree.body if isinstance(statement, ast.Expr)]
    return len(expressions) == len(tree.body) and any(isinstance(each, ast.BinOp) for each in expressions)


def _assignments(tree: ast.Module, lines: Sequence[str], lines_before: int) -> Iterator[Call]:
    """Genotypes assigned at the top level of a module, other names for them, and genotypes standing alone."""
    known: dict[str, Call] = {}
    for statement in tree.body:
        names, value = _named(statement)
        if isinstance(value, ast.Name) and value.id in known:
            for name in names:
                known[name] = Call(
                    name, statement.lineno + lines_before, known[value.id].function, known[value.id].text
                )
                yield known[name]
        function = _function(value)
        if function is None:
            continue
        assert value is not None
        call = Call(None, statement.lineno + lines_before, function, _segment(lines, value))
        if not names:
            yield call
        for name in names:
            known[name] = replace(call, name=name)
            yield known[name]


def _segment(lines: Sequence[str], node: ast.expr) -> str:
    """The text of a node; `ast.get_source_segment` goes through the whole text for each."""
    assert node.end_lineno is not None
    taken = [line.encode() for line in lines[node.lineno - 1 : node.end_lineno]]
    taken[-1] = taken[-1][: node.end_col_offset]
    taken[0] = taken[0][node.col_offset :]
    return b"\n".join(taken).decode()


def _named(statement: ast.stmt) -> tuple[list[str], ast.expr | None]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            return [target.id for target in targets if isinstance(target, ast.Name)], value
        case ast.AnnAssign(target=ast.Name(id=name), value=None, annotation=value):  # one line of YAML
            return [name], value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return [name], value
        case ast.Expr(value=value):
            return [], value
    return [], None


def _function(value: ast.expr | None) -> str | None:
    """The last name of what is called, `Genotype` or `genotypes.Genotype`; None for anything else."""
    if not isinstance(value, ast.Call):
        return None
    called, owner = value.func, value.func
    while isinstance(owner, ast.Attribute):
        owner = owner.value
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name if isinstance(owner, ast.Name) and name.endswith("Genotype") else None


def _scan(text: str) -> Iterator[Call]:
    """Genotypes in a text that is no Python module: a log, YAML, a shell script."""
    matches = list(CALL.finditer(text))
    ends = [*(match.start() for match in matches[1:]), len(text)][: len(matches)]
    line, counted = 1, 0
    for match, end in zip(matches, ends, strict=True):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "#" in before or before.rstrip().endswith(("class", "def")):
            continue
        name = ASSIGNED.search(before[-200:])
        closing = _closing(text, match.end(), end)
        segment = text[match.start() : closing if closing is not None else end]
        yield Call(name["name"] if name else None, line, match["function"], segment)


def _closing(text: str, begin: int, end: int) -> int | None:
    """Just after the bracket that closes the one before `begin`; None if it is not closed before `end`."""
    depth, quote = 1, ""
    for index in range(begin, end):
        c = text[index]
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return index + 1
    return None


FORMAT = Format(NAME, find)
