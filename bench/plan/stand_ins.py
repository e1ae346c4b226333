"""What stands in for the network of a run whose architecture is still to be found: a known one of its space."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.config import restore
from bench.records.run_info import RunInfo
from methods.architecture import Architecture
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import get_space, space_names

USUAL = "darts_cell"


def stand_in(info: RunInfo, planned: Mapping[str, RunInfo]) -> Architecture:
    """The architecture of a run where it is given or published; else one of the space of the search that it rests on.

    A pruned network is stood in for by the one that it is made of, and so is what a search finds that starts from one.

    Args:
        planned: the runs that it may rest on, by signature.

    Raises:
        ArchitectureError: the given one cannot be read.
    """
    if info.origin:
        return _load(info.origin["directory"], info.signature)
    if info.phase == "score" or (
        info.phase == "search" and ("start" not in info.config or get_method(info.method).may_start_from)
    ):
        return get_space(searched_space(info)).reference()
    if info.given is not None:
        return _load(info.given, (info.config.get("architecture") or info.config.get("start") or {}).get("digest", ""))
    name = (info.config.get("architecture") or info.config.get("start") or {}).get("published")
    if name is not None:
        return published(name)
    known = (planned[need] for need in info.needs if need in planned)
    return next((stand_in(run, planned) for run in known), get_space(USUAL).reference())


@cache
def _load(path: str, digest: str) -> Architecture:
    """Once for all seeds; `digest` is what the plan says of it, or the signature of the search that found it."""
    return Architecture.load(Path(path))


def searched_space(info: RunInfo) -> str:
    """Of a search; the usual one where its method does not say."""
    cls = get_method(info.method)
    options: Any = restore(cls.Options, info.config["options"], "options")
    space = getattr(options, "space", None) or cls.facts.space
    return space if space in space_names() else USUAL
