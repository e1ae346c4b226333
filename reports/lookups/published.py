"""Published results on a table's benchmark, and what ours says beside them.

`references/<table>.csv`, one line a value, accuracies in percent. `methods` is the registered name, with "+supernet"
for a search whose proposals a shared supernet scored. Every value is quoted through another text, which is named; one
that was not available to us is empty, and its note says so.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from reports.distributions import t_above
from reports.lookups.rows import LookupRow

FOLDER = Path(__file__).parent / "references"
SELECTED_ON_TEST = {"nasbench_macro": "selected on a test run"}
"""Tables without validation values: a search sees one test run, so that nothing published is alike."""
MARGIN = 0.3
"""The widest margin in points that still tells two results apart (`reports.verdicts`)."""
REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided: too few seeds"


@dataclass(frozen=True)
class Published:
    """One published accuracy; None for what the source does not say or was not available."""

    method: str
    dataset: str
    split: str
    version: str
    mean: float | None
    std: float | None
    seeds: int | None
    budget: str
    quoted_in: str
    note: str

    @property
    def text(self) -> str:
        if self.mean is None:
            return "value not available"
        return f"{self.mean:.2f}" + ("" if self.std is None else f" ± {self.std:.2f}")

    @property
    def citation(self) -> str:
        seeds = f"{self.seeds} seeds" if self.seeds else "number of seeds not stated"
        parts = [f"{self.text} ({seeds}; budget: {self.budget}; version: {self.version})"]
        parts += [f"quoted in {self.quoted_in}"] * bool(self.quoted_in) + [self.note] * bool(self.note)
        return "; ".join(parts)


@dataclass(frozen=True)
class LookupVerdict:
    """What a row's mean test accuracy says beside the published one, and exactly what was not made alike.

    Attributes:
        published: the value that was found; not to be shown beside the row's where the two are not `comparable`.
    """

    text: str
    reason: str = ""
    published: Published | None = None
    comparable: bool = True


@cache
def published(table: str) -> tuple[Published, ...]:
    """Every published value on a table's benchmark; none where there is no file."""
    path = FOLDER / f"{table}.csv"
    if not path.exists():
        return ()
    with open(path, newline="", encoding="utf-8") as file:
        return tuple(_parse(line) for line in csv.DictReader(file))


def _parse(line: dict[str, str]) -> Published:
    number = {key: float(line[key]) if line[key] else None for key in ("mean", "std")}
    seeds = int(line["seeds"]) if line["seeds"] else None
    words = (line["methods"], line["dataset"], line["split"], line["version"])
    return Published(*words, number["mean"], number["std"], seeds, line["budget"], line["quoted_in"], line["note"])


def judge(row: LookupRow) -> LookupVerdict | None:
    """The verdict on a row's mean test accuracy on the data set searched on; None where nothing is known.

    Reproduced: within both 95 % margins, added in quadrature, or ours is higher; as for retrained rows.
    """
    if row.setting.table in SELECTED_ON_TEST:
        return LookupVerdict(SELECTED_ON_TEST[row.setting.table], "no verdict: the table has no validation values")
    found = next((each for each in published(row.setting.table) if _is_of(each, row)), None)
    if found is None:
        return None
    if found.mean is None:
        return LookupVerdict("", found.citation, found)
    if (hindrance := _hindrance(row)) is not None:
        return LookupVerdict(f"not comparable: {hindrance}", found.citation, found, comparable=False)
    ours = _half_width(float(row.test.std(ddof=1)), len(row.test)) if len(row.test) > 1 else None
    theirs = None if found.std is None or not found.seeds else _half_width(found.std, found.seeds)
    if ours is None or theirs is None or (margin := float(np.hypot(ours, theirs))) > MARGIN:
        return LookupVerdict(UNDECIDED, found.citation, found)
    gap = float(row.test.mean()) - found.mean
    text = REPRODUCED if gap >= -margin else NOT_REPRODUCED
    said = f"{gap:+.3f} points from {found.text}, margin {margin:.3f}; not alike: {'; '.join(_differences(row, found))}"
    return LookupVerdict(text, said, found)


def _is_of(found: Published, row: LookupRow) -> bool:
    method = f"{row.method}+supernet" if row.evaluator == "supernet" else row.method
    return (found.method, found.dataset, found.split) == (method, row.setting.dataset, "test")


def _hindrance(row: LookupRow) -> str | None:
    """Why a row was not made as the published value was; None for what differs in its budget's unit alone."""
    if row.setting.epochs != 200:
        return "other training budget of the values"
    if row.budget is None and row.setting.profile != "paper":
        return "reduced schedule"
    if row.options.get("samples") == 1:
        return "one proposal, nothing selected"
    if row.setting.dataset != "cifar10" and row.budget is not None:
        return "data set searched on not stated"
    return None


def _differences(row: LookupRow, found: Published) -> list[str]:
    parts = []
    if row.budget is not None:
        parts.append(f"budget {row.budget} evaluations, published {found.budget}")
        parts.append(f"ours chooses by {row.scored_by}; which validation value theirs chose by was not read")
    parts.append(
        f"version of the values: ours {row.setting.version or 'the first of the table'}, theirs {found.version}"
    )
    parts.append(f"{len(row.test)} seeds, published {found.seeds or 'not stated'}")
    return parts


def _half_width(std: float, count: int) -> float:
    """Of Student's 95 % interval of a mean."""
    return float(t_above(0.025, count - 1) * std / np.sqrt(count))
