"""Python literals of a strict kind, from a syntax tree: nothing is called, looked up or computed."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from methods.architecture import ArchitectureError
from methods.importing.found import shorten

MOST_ITEMS = 512
MOST_DEPTH = 8


def parse(text: str, mode: str) -> ast.AST:
    """The syntax tree of a text, which is not run.

    Raises:
        ArchitectureError: not Python, or nested deeper than any genotype.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes in somebody's text
            return ast.parse(text, mode=mode)
    except SyntaxError as error:
        raise ArchitectureError(f"not Python text: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ArchitectureError(f"not Python text of a genotype: {str(error) or 'nested too deeply'}") from None


def literal(node: ast.expr, depth: int = 0) -> Any:
    """Lists, tuples and ranges (as lists), text, numbers and None.

    Raises:
        ArchitectureError: anything else, in the text's own words.
    """
    match node:
        case ast.Constant(value=None | str() | int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) <= MOST_ITEMS and depth < MOST_DEPTH:
            return [literal(item, depth + 1) for item in items]
        case ast.Call(func=ast.Name(id="list" | "tuple"), args=[inner], keywords=[]) if depth < MOST_DEPTH:
            return literal(inner, depth + 1)
        case ast.Call(func=ast.Name(id="range"), args=[*ends], keywords=[]):
            return _range(node, [literal(end, depth + 1) for end in ends])
    raise ArchitectureError(
        f"`{shorten(_source(node))}` is not a literal: lists, tuples, range(...), text and numbers are read, and "
        "nothing is run"
    )


def _range(node: ast.expr, ends: list[Any]) -> list[int]:
    if not (1 <= len(ends) <= 2 and all(type(end) is int for end in ends)):
        raise ArchitectureError(f"`{shorten(_source(node))}` is not range(first, end) of whole numbers")
    numbers = range(*ends)
    if len(numbers) > MOST_ITEMS:
        raise ArchitectureError(f"`{shorten(_source(node))}` has more than {MOST_ITEMS} numbers")
    return list(numbers)


def _source(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return type(node).__name__
