"""Published values, each with its source and how it was measured.

`references/<data set>.csv`, one line a published number. `labels` names the rows it belongs to; `selection` is how
it was measured: "mean" over searches, "best search" (the best of several searches, retrained), or "unknown"; `epoch`
is the epoch it was taken at: "last", "best" (of each training, on the test set) or "unknown". A value that was not
available to us is empty, and its note says so. What it is worth beside a row of ours: `reports.verdicts`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.plan.recipe import Recipe, load_recipe
from reports.rows import Row, file_form

FOLDER = Path(__file__).parent / "references"
MEASURED = "test_"
"""How the column of published values begins: `test_error`, `test_psnr`."""


@dataclass(frozen=True)
class Reference:
    """One published value of a task's headline on test images; None for what the source does not say or did not have.

    Attributes:
        labels: names of rows or published genotypes it belongs to.
        options: search options (as JSON text) that tell this result from others of its label: {"unrolled": "true"}.
        search: further search options of the published result; a row that differs is another search.
        epoch: "last", "best" or "unknown".
        recipe: a recipe of ours that is the published one, with changes behind it: "darts-cifar;batch_size=128".
        network: channels and cells, "36x20".
        value, std: the value and its "±", in the headline's unit (percent, of errors).
        spread: what the std is over: "searches", "retrainings"; empty where the source does not say.
        searches, retrains: how many stand behind the value, if known.
    """

    labels: tuple[str, ...]
    options: dict[str, str]
    search: dict[str, str]
    paper: str
    table: str
    version: str
    selection: str
    epoch: str
    recipe: str
    network: str
    searches: int | None
    retrains: int | None
    value: float | None
    std: float | None
    spread: str
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
        epoch = "last or best epoch not known" if self.epoch == "unknown" else f"{self.epoch} epoch"
        spread = f"± over {self.spread}" if self.std is not None and self.spread else ""
        recipe = f"recipe {self.recipe}" if self.recipe else "recipe not known"
        parts = [what + (f" ({', '.join(counts)})" if counts else ""), epoch, spread, recipe]
        return ", ".join(part for part in parts if part)

    @property
    def count(self) -> int | None:
        """How many values the std is over; None where that is not known."""
        return {"searches": self.searches, "retrainings": self.retrains}.get(self.spread)

    @property
    def published_recipe(self) -> Recipe | None:
        """The recipe the value was trained by; None where it is not known."""
        name, *changes = self.recipe.split(";")
        if not name:
            return None
        return load_recipe(name, {key: json.loads(value) for key, value in (part.split("=", 1) for part in changes)})


@cache
def load(dataset: str) -> tuple[Reference, ...]:
    """All published values of a data set, in the order of the file; empty where there is no file.

    Args:
        dataset: its name, and the title of a task that is not classification: "photographs-super-resolution_x2".
    """
    path = FOLDER / f"{dataset}.csv"
    if not path.exists():
        return ()
    with open(path, newline="") as file:
        return tuple(_parse(line) for line in csv.DictReader(file))


def find(row: Row) -> list[Reference]:
    """Published values a row can be set beside, in the order of the file.

    By the row's label or its published genotype ("pc-darts" is "PC_DARTS" is "pc darts"), unless the row was searched
    with options of another result.
    """
    name = _plain(row.genotype or row.label)
    options = search_options(row)
    return [
        reference
        for reference in load("-".join(filter(None, [row.setting.dataset, file_form(row.setting.task.title)])))
        if name in map(_plain, reference.labels)
        and all(options.get(key, value) == value for key, value in reference.options.items())
    ]


def search_options(row: Row) -> dict[str, str]:
    """The options a row was searched with, as JSON text."""
    found: dict[str, Any] = {}
    for run in row.searches:
        found |= run.info.config.get("options") or {}
    return {key: json.dumps(value) for key, value in found.items()}


def _parse(line: dict[str, str]) -> Reference:
    def value(key: str) -> float | None:
        return float(line[key]) if line[key] else None

    def count(key: str) -> int | None:
        return int(line[key]) if line[key] else None

    def pairs(key: str) -> dict[str, str]:
        return dict(part.split("=", 1) for part in line[key].split(";") if part)

    plain = ("paper", "table", "version", "selection", "epoch", "recipe", "network", "spread", "note")
    return Reference(
        labels=tuple(line["labels"].split(";")),
        options=pairs("options"),
        search=pairs("search"),
        searches=count("searches"),
        retrains=count("retrains"),
        value=next(value(key) for key in line if key.startswith(MEASURED)),
        std=value("std"),
        params_m=value("params_m"),
        macs_m=value("macs_m"),
        search_gpu_days=value("search_gpu_days"),
        **{key: line[key] for key in plain},
    )


def _plain(label: str) -> str:
    return label.lower().replace("_", "-").replace(" ", "-")
