"""Places in documents of YAML and JSON, and text that their readers may stumble over."""

from __future__ import annotations

from typing import Any

Place = tuple[str | int, ...]

HOSTILE = [
    "- ", ": ", "\t", "{", "}", "[", "]", "&a ", "*a", "!!python/name:os.system ", "<<: *a\n", "---\n", "...\n", "? ",
    "|\n", ">-\n", "'", '"', "\\", "#", "%YAML 1.1\n", "\0", "\x1b[31m", "\u2028", "~", "null", ".nan", "-1", "1e999",
    "2024-13-45", "0x10", "1_000", "off", "  ", "\n", "dataset: digits\n", "    threads: 2\n", "é", "[" * 60, "9" * 500,
]  # fmt: skip


def put(document: Any, place: Place, value: Any) -> None:
    for key in place[:-1]:
        document = document.setdefault(key, {}) if isinstance(document, dict) else document[key]
    document[place[-1]] = value


def look_up(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def places(value: Any, place: Place = ()) -> list[Place]:
    """Of all values of a document, inner ones included."""
    found: list[Place] = [place] if place else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*place, key))
    return found
