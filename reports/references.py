"""Published values, each with its source and how it was measured, and the verdict on a row set beside one.

`references/<data set>.csv`, one line a published number. `labels` names the rows it belongs to; `selection` is how
it was measured: "mean" over searches, "best search" (the best of several searches, retrained), or "unknown". A value
that was not available to us is empty, and its note says so.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from reports.rows import Row
from reports.statistics import Interval, interval

FOLDER = Path(__file__).parent / "references"
PAPER = "paper"
RESOLVABLE = 0.3
"""Percentage points: a wider margin than this decides nothing about a published value in this field."""

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
REDUCED = "not comparable: reduced schedule"


@dataclass(frozen=True)
class Reference:
    """One published test error; None for what the source does not say or was not available.

    Attributes:
        labels: names of rows or published genotypes it belongs to.
        options: search options (as JSON text) a row must not contradict, e.g. {"unrolled": "true"}.
        value, std: test error and its "±", in percent.
        searches, retrains: how many stand behind the value, if known.
    """

    labels: tuple[str, ...]
    options: dict[str, str]
    paper: str
    table: str
    version: str
    selection: str
    searches: int | None
    retrains: int | None
    value: float | None
    std: float | None
    params_m: float | None
    macs_m: float | None
    search_gpu_days: float | None
    note: str

    @property
    def citation(self) -> str:
        return "; ".join(part for part in (self.paper, self.table, self.version) if part)

    @property
    def measured(self) -> str:
        """How the value was measured, in words."""
        what = {"mean": "mean over searches", "best search": "best of several searches"}.get(
            self.selection, "how it was selected is not known"
        )
        counts = [f"{n} {word}" for n, word in ((self.searches, "search(es)"), (self.retrains, "retraining(s)")) if n]
        return what + (f" ({', '.join(counts)})" if counts else "")


@dataclass(frozen=True)
class Verdict:
    """Whether a row reproduces a published value, and the numbers it follows from."""

    text: str
    reason: str = ""


@cache
def load(dataset: str) -> tuple[Reference, ...]:
    """All published values of a data set, in the order of the file; empty where there is no file."""
    path = FOLDER / f"{dataset}.csv"
    if not path.exists():
        return ()
    with open(path, newline="") as file:
        return tuple(_parse(line) for line in csv.DictReader(file))


def find(row: Row) -> list[Reference]:
    """Published values a row can be set beside, the main one first.

    By the row's label or its published genotype ("pc-darts" is "PC_DARTS" is "pc darts"), unless the row was searched
    with other options than the published result.
    """
    name = _plain(row.genotype or row.label)
    options = {
        key: json.dumps(value) for run in row.searches for key, value in run.info.config.get("options", {}).items()
    }
    return [
        reference
        for reference in load(row.setting.dataset)
        if name in map(_plain, reference.labels)
        and all(options.get(key, value) == value for key, value in reference.options.items())
    ]


def judge(row: Row, reference: Reference | None, mean: float | None, bounds: Interval | None) -> Verdict | None:
    """The verdict on a row. None without a published value to compare with or a result of our own.

    Reproduced: our value and the published one differ by no more than the margin, the two half-widths of their
    95 % intervals added in quadrature; or ours is the lower error. A value published as the best of several searches
    is compared with our best search. The published half-width is 1.96 std / sqrt(n); without an n, 1.96 std.
    """
    if reference is None or reference.value is None or mean is None:
        return None
    if row.setting.profile != PAPER:
        return Verdict(REDUCED)
    if row.setting.recipe.endswith("*"):
        return Verdict("not comparable: changed recipe", f"the recipe is {row.setting.recipe}")
    if row.inheritance != "scratch":
        return Verdict("not comparable: not trained from scratch")
    ours, half = mean, bounds.half_width if bounds else None
    what = "mean over searches" if row.searched else "mean over retrainings"
    if reference.selection != "mean" and row.searched:
        what = "best search"
        best = min(row.errors.values(), key=lambda values: float(np.mean(list(values.values()))))
        ours = float(np.mean(list(best.values())))
        own = interval([[value] for value in best.values()])
        half = own.half_width if own else None
    if half is None:
        return Verdict("undecided: too few seeds", f"{what} {ours:.2f}, published {reference.value:.2f}, no interval")
    spread = _published_half_width(reference)
    margin = math.hypot(half, spread)
    gap = ours - reference.value
    theirs = (
        f"{reference.value:.2f} ± {spread:.2f}" if reference.std is not None else f"{reference.value:.2f} (no spread)"
    )
    reason = f"{what} {ours:.2f} ± {half:.2f}, published {theirs}, at 95 %: gap {gap:+.2f}, margin {margin:.2f}"
    if gap > margin:
        return Verdict(NOT_REPRODUCED, reason)
    if gap > -margin and margin > RESOLVABLE:
        return Verdict("undecided: too few seeds", f"{reason}, wider than {RESOLVABLE}")
    return Verdict(REPRODUCED, reason)


def _published_half_width(reference: Reference) -> float:
    if reference.std is None:
        return 0.0
    units = reference.searches if reference.selection == "mean" else reference.retrains
    return 1.96 * reference.std / math.sqrt(units or 1)


def _parse(line: dict[str, str]) -> Reference:
    def value(key: str) -> float | None:
        return float(line[key]) if line[key] else None

    def count(key: str) -> int | None:
        return int(line[key]) if line[key] else None

    return Reference(
        labels=tuple(line["labels"].split(";")),
        options=dict(part.split("=", 1) for part in line["options"].split(";") if part),
        paper=line["paper"],
        table=line["table"],
        version=line["version"],
        selection=line["selection"],
        searches=count("searches"),
        retrains=count("retrains"),
        value=value("test_error"),
        std=value("std"),
        params_m=value("params_m"),
        macs_m=value("macs_m"),
        search_gpu_days=value("search_gpu_days"),
        note=line["note"],
    )


def _plain(label: str) -> str:
    return label.lower().replace("_", "-").replace(" ", "-")
