"""The form of an architecture's file: JSON that is read whole or refused with the key that is wrong.

What an architecture *means* is its space's business (`Space.validate`); here is what all of them have in common, so
that no value of a wrong type, no huge number and no endless nesting gets any further.
"""

from __future__ import annotations

import difflib
import json
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from methods.domain import shown

LARGEST_FILE = 16 * 2**20
"""Bytes."""
DEEPEST = 40
"""Levels of objects and lists in each other."""
LONGEST_NUMBER = 20
"""Digits of a whole number."""
MOST_CELLS = 200
MOST_CHANNELS = 4096
"""Largest depth and width of anything that is built: beyond what was published, and what can be counted in seconds."""
_KEYS = ("format", "space", "genotype", "scale", "widths", "masks", "digest", "provenance")


class ArchitectureError(ValueError):
    """An architecture that is malformed or that its space cannot build."""


def read_document(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ArchitectureError: not there, too large, not JSON, or JSON that means two things: a key given twice, NaN.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ArchitectureError(f"no architecture at {path}")
        if path.stat().st_size > LARGEST_FILE:
            raise ArchitectureError(f"{path} has {path.stat().st_size:,} bytes; an architecture has far fewer")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArchitectureError(f"no architecture at {path}") from None
    except UnicodeDecodeError as error:
        raise ArchitectureError(f"{path} is not valid JSON: {error}") from None
    except (OSError, ValueError) as error:  # no permission, a name that is too long or has a NUL byte
        if isinstance(error, ArchitectureError):
            raise
        raise ArchitectureError(
            f"cannot read {shown(str(path))}: {getattr(error, 'strerror', None) or error}"
        ) from None
    return parse_document(text, str(path))


def parse_document(text: str, where: str) -> Any:
    """JSON; `where` names its place in messages. Raises ArchitectureError as `read_document`."""
    try:
        document = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_Unusable, parse_int=_whole_number
        )
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}") from None
    except json.JSONDecodeError as error:
        raise ArchitectureError(f"{where} is not valid JSON: {error}") from None
    except RecursionError:
        raise ArchitectureError(f"{where}: more than {DEEPEST} levels in each other") from None
    if _depth(document) > DEEPEST:
        raise ArchitectureError(f"{where}: more than {DEEPEST} levels in each other")
    if unusable := _unusable(document):
        raise ArchitectureError(f"{where}: {unusable}")
    return document


def check_form(document: Any, where: str, version: int) -> None:
    """Types and ranges of everything that all architectures have.

    Raises:
        ArchitectureError: with the key that is wrong.
    """
    if not isinstance(document, dict):
        raise ArchitectureError(f"{where}: expected a JSON object, found {type(document).__name__}")
    if document.get("format") != version or isinstance(document["format"], bool):
        keys = f"; it has the keys {shown(sorted(document))}" if "format" not in document else ""
        raise ArchitectureError(f"{where}: format {shown(document.get('format'))}; this version reads {version}{keys}")
    refuse_unknown(f"key in {where}:", document, _KEYS)
    for key, kind in (("space", str), ("genotype", dict)):
        if not isinstance(document.get(key), kind):
            raise ArchitectureError(f"{where}: '{key}' is missing or not a {kind.__name__}")
    for key in ("scale", "widths", "masks", "provenance"):
        if not isinstance(document.get(key, {}), dict):
            raise ArchitectureError(f"{where}: '{key}' is {shown(document[key])}; it must be an object")
    check_sizes(document.get("scale", {}), document.get("widths", {}), where)
    for name, entry in document.get("masks", {}).items():
        if not isinstance(entry, dict) or not _is_shape(entry.get("shape")):
            raise ArchitectureError(
                f"{where}: mask {shown(name)} is {shown(entry)}; it needs a 'shape', a list of sizes"
            )


def check_sizes(scale: Mapping[str, Any], widths: Mapping[str, Any], where: str = "architecture") -> None:
    """Raises ArchitectureError for a scale or a width that is no whole number in its range."""
    for key, value in scale.items():
        most = MOST_CELLS if key == "cells" else MOST_CHANNELS
        if type(value) is not int or not 1 <= value <= most:
            raise ArchitectureError(f"{where}: scale.{key} is {shown(value)}; it must be a whole number in [1, {most}]")
    for key, value in widths.items():
        if type(value) is not int or not 0 <= value <= 16 * MOST_CHANNELS:
            raise ArchitectureError(
                f"{where}: width {shown(key)} is {shown(value)}; it must be a whole number in [0, {16 * MOST_CHANNELS}]"
            )


def refuse_unknown(what: str, given: Mapping[str, object], known: Collection[str]) -> None:
    """Raises ArchitectureError for a key that is none of the known ones; `what` says a key of what."""
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key)[:100], known, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ";"
            raise ArchitectureError(f"unknown {what} {shown(key)}{hint} known: {', '.join(sorted(known)[:12])}")


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 8 and all(type(size) is int and 0 < size < 2**31 for size in value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ArchitectureError(f"the key {shown(twice)} is given twice")
    return found


class _Unusable(str):
    """Stands for a number that is none: NaN, an infinity, or thousands of digits."""


def _whole_number(text: str) -> int | _Unusable:
    return _Unusable(f"a whole number of {len(text)} digits") if len(text) > LONGEST_NUMBER else int(text)


def _unusable(document: Any) -> str | None:
    """Where an unusable number stands, and what it is."""
    left = [("", document)]
    while left:
        place, value = left.pop()
        if isinstance(value, _Unusable):
            return f"{place[1:] or 'the document'} is {value}"
        if isinstance(value, dict):
            left += [(f"{place}.{key}", item) for key, item in value.items()]
        if isinstance(value, list):
            left += [(f"{place}[{number}]", item) for number, item in enumerate(value)]
    return None


def _depth(document: Any) -> int:
    """Levels of a JSON value, counted without recursion; one more than DEEPEST stands for all deeper ones."""
    level, depth = [document], 0
    while level and depth <= DEEPEST:
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
        depth += bool(level)
    return depth
