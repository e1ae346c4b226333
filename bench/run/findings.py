"""What the seeds of a batch found out beside their answers, as means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any


def means_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of `findings` and `shrinkage` of the lines that have them, under these names; None stands for no value."""
    found = {"findings": _means(line["findings"] for line in lines if "findings" in line)}
    lists = [line["shrinkage"] for line in lines if "shrinkage" in line]
    found["shrinkage"] = {name: _means(each[name] for each in lists) for name in (lists[0] if lists else ())}
    return {name: values for name, values in found.items() if values}


def _means(each: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    every = list(each)
    names = dict.fromkeys(name for found in every for name in found)
    return {name: mean([found[name] for found in every if name in found]) for name in names}


def mean(values: Sequence[Any]) -> Any:
    """Of numbers, or of lists of them place by place, as far as there are values at a place."""
    if any(isinstance(value, list) for value in values):
        return [mean(place) for place in zip_longest(*values)]
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
