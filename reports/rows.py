"""A row of a table and the setting it stands in. Search seeds and retrain seeds stay two levels throughout."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.records.directory import Record
from methods.tasks import CLASSIFICATION, Metric, Task

RANDOM_METHOD = "random_sampling"


FINE_TUNED = " (fine-tuned)"


@dataclass(frozen=True, order=True)
class Setting:
    """What rows must have in common to stand in one table.

    `details` says in words what else decides a comparison: reduced data, and the size of networks whose architecture
    does not fix its own, and a task that is not classification. `shown` is what a title says instead (`reports.sizes`);
    it decides nothing. `task` says by what rows are compared.
    """

    dataset: str
    profile: str
    recipe: str
    recipe_hash: str
    details: str = ""
    shown: str | None = field(default=None, compare=False)
    task: Task = field(default=CLASSIFICATION, compare=False)

    @property
    def metric(self) -> Metric:
        """By which rows are ranked."""
        return self.task.headline

    @property
    def title(self) -> str:
        title = f"{self.dataset}, profile {self.profile}, recipe {self.recipe} ({self.recipe_hash[:8]})"
        details = self.details if self.shown is None else self.shown
        return f"{title}, {details}" if details else title

    @property
    def slug(self) -> str:
        """For file names and anchors."""
        more = f"-{hashlib.sha256(self.details.encode()).hexdigest()[:4]}" if self.details else ""
        text = f"{self.dataset}-{self.profile}-{self.recipe}-{self.recipe_hash[:8]}{more}"
        return file_form(text)


def file_form(text: str) -> str:
    """A text as part of a file's name or an anchor."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


@dataclass
class Row:
    """All runs of one line of a table.

    Attributes:
        label: as the experiment named it; extended where two configurations carry the same label.
        trains: finished retrainings.
        counted: the network built and counted, of a row that is not trained.
        unfinished: retrainings asked for but not done.
        searches: searches and transforms the row rests on, and further ones of its label, finished or not.
        intermediate: a training for transforms to start from: shown below the table, never ranked.
        twin: the row with the same configuration, whose runs this one shares.
        complete: the records hold every run the row's retrainings rest on.
        said: what the experiment says of it.
        origins: for each unit the signatures of the runs it descends from (see `reports.coupling`).
        notes: what a reader should know before trusting the line.
    """

    setting: Setting
    label: str
    method: str
    inheritance: str
    trains: list[Record] = field(default_factory=list)
    counted: list[Record] = field(default_factory=list)
    unfinished: list[Record] = field(default_factory=list)
    searches: list[Record] = field(default_factory=list)
    intermediate: bool = False
    twin: str | None = None
    complete: bool = True
    said: str = ""
    origins: dict[int, frozenset[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.label + FINE_TUNED if self.inheritance == "finetune" else self.label

    @property
    def searched(self) -> bool:
        """False for a published or given architecture: its runs differ in the retraining alone."""
        return any(record.info.search_seed is not None for record in [*self.trains, *self.unfinished])

    @property
    def genotype(self) -> str | None:
        """Name of the published genotype that was retrained, if it is one."""
        for record in [*self.trains, *self.unfinished]:
            architecture = record.info.config.get("architecture")
            if isinstance(architecture, Mapping) and architecture.get("published"):
                return str(architecture["published"])
        return None

    @property
    def values(self) -> dict[int, dict[int, float]]:
        """The task's headline on the test images, last epoch: {search seed: {retrain seed: value}}."""
        return self.measured(f"test_{self.setting.metric.key}")

    @property
    def best_epochs(self) -> dict[int, dict[int, float]]:
        """The same of the best epoch."""
        task = self.setting.task
        best = self.measured(f"best_test_{task.metric.key}")
        return {seed: {r: task.headline_of(value) for r, value in values.items()} for seed, values in best.items()}

    def measured(self, name: str) -> dict[int, dict[int, float]]:
        nested: dict[int, dict[int, float]] = defaultdict(dict)
        for record in self.trains:
            value = number(part(record, "metrics").get(name))
            if value is not None:
                nested[search_seed(record)][record.info.retrain_seed or 0] = value
        return {seed: dict(sorted(values.items())) for seed, values in sorted(nested.items())}

    @property
    def units(self) -> dict[int, dict[int, float]]:
        """`values` by independent unit and repetition: by search and retraining; unsearched, by retraining."""
        if self.searched:
            return self.values
        return {seed: {0: value} for values in self.values.values() for seed, value in values.items()}

    @property
    def samples(self) -> list[list[float]]:
        """The values of `units`, without their seeds."""
        return [list(values.values()) for values in self.units.values()]


def search_seed(record: Record) -> int:
    """The search seed; -1 for a published or given architecture."""
    return -1 if record.info.search_seed is None else record.info.search_seed


def part(record: Record, name: str) -> Mapping[str, Any]:
    """ "metrics" or "costs" of a result; empty while there is none."""
    return (record.result or {}).get(name) or {}


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def possible(value: Any, metric: Metric) -> float:
    """A value of a metric as a record has it. Raises ValueError for what it cannot be."""
    found = number(value)
    if found is None or not metric.low <= found <= metric.high:
        raise ValueError(f"{metric.name} is {value!r}")
    return found


def mean_of_means(nested: Mapping[int, Mapping[int, float]]) -> float | None:
    """Mean over searches of the mean over their retrainings: every search weighs the same."""
    means = [float(np.mean(list(values.values()))) for values in nested.values() if values]
    return float(np.mean(means)) if means else None


def is_random(row: Row) -> bool:
    """Whether a row is random sampling, the baseline of relative improvement; not that at the size of another row."""
    return row.method == RANDOM_METHOD and not any(run.info.config.get("match") for run in row.searches)
