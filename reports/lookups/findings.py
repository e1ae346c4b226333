"""What searches found out beside their answers, in words: means over seeds, and how a space was shrunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.run.findings import mean
from reports.lookups.rows import LookupRow
from reports.statistics import interval

SHRINKAGE = {
    "own": "its list",
    "options dropped": "beside it, the worst options dropped one by one",
    "table shuffled": "beside it, the same search in a shuffled table",
}
"""The list and its controls (`bench.run.shrinkage`), in words."""


def finding_notes(row: LookupRow) -> list[str]:
    """One for each thing that the row's searches found out."""
    names = dict.fromkeys(name for found in row.findings for name in found)
    told = {name: mean([found[name] for found in row.findings if name in found]) for name in names}
    seeds = f"mean over {len(row.findings)} seed{'s' * (len(row.findings) != 1)}"
    return [f"{row.label}: {name}: {_text(value)} ({seeds})" for name, value in told.items()]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def shrinkage_notes(row: LookupRow) -> list[str]:
    """The list and its controls, each with all that is measured of it."""
    return [
        f"{row.label}, {told} ({len(row.shrinkage)} seeds, with 95 % intervals): "
        f"{_kept([each[name] for each in row.shrinkage])}"
        for name, told in SHRINKAGE.items()
        if row.shrinkage
    ]


def _kept(lists: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        (
            f"{_mean(lists, 'share', 100):s} % of the networks",
            f"{_mean(lists, 'kept', 100)} % of the ten best, enrichment {_mean(lists, 'enrichment')}, without the "
            f"scored networks {_mean(lists, 'unscored')}",
            f"mean test accuracy {_mean(lists, 'mean')} %, {_mean(lists, 'gain')} above the space's",
            f"{_mean(lists, 'distance')} steps between two networks",
            f"{_mean(lists, 'scored')} networks scored for it",
        )
    )


def _mean(lists: Sequence[Mapping[str, Any]], what: str, scale: float = 1.0) -> str:
    values = [scale * each[what] for each in lists if each[what] is not None]
    if not values:
        return "none"
    found = interval([[value] for value in values])
    text = f"{sum(values) / len(values):.2f}"
    return text if found is None else f"{text} [{found.low:.2f}, {found.high:.2f}]"
