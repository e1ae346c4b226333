"""Digests of what figures show: equal ones mean equal files, so that nothing is drawn twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from reports.style import DPI


def digest(*parts: object) -> str:
    """Of everything a figure shows, the code that draws it and the settings of matplotlib; within `figure_style`.

    A value of a kind not known here counts by its `repr`; if that is not the same from one report to the next, the
    figure is drawn again.
    """
    found = hashlib.sha256(f"{_code()} {DPI} {matplotlib.__version__} {dict(matplotlib.rcParams)}".encode())
    _add(found, parts)
    return found.hexdigest()


@cache
def _code() -> str:
    """Of the text of this package."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _add(found: Any, value: object) -> None:
    if isinstance(value, np.ndarray):
        found.update(f"array {value.dtype.str} {value.shape}\n".encode())
        found.update(value.tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        _add(found, [type(value).__name__, [getattr(value, field.name) for field in fields(value)]])
    elif isinstance(value, Mapping):
        found.update(f"mapping {len(value)}\n".encode())
        for item in value.items():
            _add(found, item)
    elif isinstance(value, list | tuple):
        found.update(f"list {len(value)}\n".encode())
        for item in value:
            _add(found, item)
    else:
        found.update(f"{type(value).__name__} {value!r}\n".encode())
