"""What names may be, and how they look in folders and on screens.

Experiments and profiles name folders, jobs and MLflow experiments, so their names are plain. The label of a row is text
for people: it is shown as written everywhere, and its folders get a safe form of it.
"""

from __future__ import annotations

import re

from methods.domain import KEY, matching

NAME = matching(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    "letters, digits, '.', '_' and '-', at most 100, the first a letter or digit (it names folders and jobs)",
)
"""Domain of the names of experiments and profiles."""


class _Label:
    """One printable line."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() and value == value.strip()

    def describe(self, kind: str) -> str:
        return "one line of printable text, at most 200 characters, without spaces at its ends"


LABEL = {KEY: _Label()}
"""Domain of the labels of rows."""
LONGEST_FOLDER = 120
"""Bytes of a label's part of a folder name: with phase, seeds and signature it must fit into 255."""


def folder_form(label: str) -> str:
    """A label as part of a folder's name: what cannot stand there becomes "_".

    The signature at the end of the folder's name tells two labels apart whose forms are the same.
    """
    safe = "".join("_" if c == "/" or not c.isprintable() else c for c in label)
    cut = safe.encode("utf-8", "replace")[:LONGEST_FOLDER]
    return cut.decode("utf-8", "ignore")


def printable(text: str) -> str:
    """A text for a screen, a page or a drawing; a control character, which could steer a terminal, as Python writes it.

    Line breaks stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """As `printable`, line breaks too."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return re.sub("^'|'$", "", repr(character))
