"""How the searches behind a row ended, where that says how far to trust what they found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.directory import Record
from methods.architecture import JSON_NAME
from methods.parts.watched import NEAR_UNIFORM, UNIFORM
from reports.rows import number

CUT = "cut_at_epoch_limit"
"""In the provenance of an architecture whose last operations went at the epoch limit, not below their thresholds."""


def is_near_uniform(entropies: Iterable[float], uniform: float) -> bool:
    """Whether the entropy of the gates, mean over the kinds of cells, is that of nearly equal ones."""
    return float(np.mean(list(entropies))) >= NEAR_UNIFORM * uniform


def endings(trains: Sequence[Record], searches: Sequence[Record]) -> list[str]:
    """Notes on a row: architectures that were cut, searches with near-uniform gates or with nothing within a bound.

    Args:
        trains: the row's retrainings, each with its architecture beside it.
        searches: the runs the row rests on.
    """
    return [note for note in (_cut(trains), flat_gates(searches), over_bound(searches)) if note]


def over_bound(searches: Sequence[Record]) -> str:
    """A sentence on the searches that found nothing within the bound of their row's cost; empty where all did."""
    reports = [(run.result or {}).get("report") for run in searches if run.info.phase == "search"]
    told = [each.get("cost") for each in reports if isinstance(each, Mapping)]
    bound = [each for each in told if isinstance(each, Mapping) and "met" in each]
    over = [each for each in bound if not each["met"]]
    if not over:
        return ""
    values = [(number(each.get("value")), number(each.get("at_most"))) for each in over]
    said = "; ".join(sorted({f"{value:,.6g} for {most:,.6g}" for value, most in values if value and most}))
    return f"{len(over)} of {len(bound)} searches found no network within their bound on {over[0].get('on')} ({said})"


def flat_gates(searches: Sequence[Record]) -> str:
    """A sentence on the searches that ended with near-uniform gates; empty where none did, or none says."""
    known = [ending for run in searches if (ending := _ending(run)) is not None]
    flat = [(found, uniform) for found, uniform in known if is_near_uniform([found], uniform)]
    if not flat:
        return ""
    said = "; ".join(sorted({f"entropy {found:.3f}, {uniform:.3f} if all were equal" for found, uniform in flat}))
    return f"{len(flat)} of {len(known)} searches ended with near-uniform gates ({said})"


def _ending(run: Record) -> tuple[float, float] | None:
    """The entropy of the gates at a search's end, mean over the kinds of cells, and that of equal ones."""
    report = (run.result or {}).get("report") or {}
    if run.info.phase != "search" or not isinstance(report, Mapping):
        return None
    found = [number(value) for name, value in report.items() if name.startswith("arch/entropy") and name != UNIFORM]
    uniform, values = number(report.get(UNIFORM)), [value for value in found if value is not None]
    return (float(np.mean(values)), uniform) if uniform and values else None


def _cut(trains: Sequence[Record]) -> str:
    """A sentence on the row's architectures that were cut to their size; of each search they count once."""
    found: dict[str, bool] = {}
    for run in trains:
        provenance = provenance_of(run)
        if CUT in provenance:
            found[str((run.result or {}).get("architecture"))] = bool(provenance[CUT])
    if not any(found.values()):
        return ""
    return (
        f"{sum(found.values())} of {len(found)} architectures were cut to their size at the epoch limit of the search"
    )


def provenance_of(run: Record) -> Mapping[str, Any]:
    """What an architecture remembers of how it was found; empty where the run found none, or it cannot be read."""
    if "run" not in (run.info.config.get("architecture") or {}):
        return {}
    try:
        file = run.path / JSON_NAME
        kept = file.stat()
        found = _provenance(file, kept.st_mtime_ns, kept.st_size)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


@lru_cache(maxsize=8192)
def _provenance(file: Path, changed: int, size: int) -> Any:
    """Of a file as it was when it was last changed: a report asks several times."""
    return json.loads(file.read_bytes())["provenance"]
