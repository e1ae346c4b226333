"""Texts in XML: labels of today are printable, but records of others, and names of files, may hold anything."""

from __future__ import annotations

import re
from html import escape

_NOT_XML = re.compile(r"[^\t\n\r -\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may hold, and control characters."""


def printable(text: str) -> str:
    """A text in which what no XML may hold is replaced."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def as_xml(text: str) -> str:
    """A text for an element or an attribute."""
    return printable(escape(text, quote=True))
