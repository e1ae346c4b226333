"""From run records to table rows: which runs belong together, and the numbers one row stands for.

Two rows share a table only if profile, data set and recipe (by hash) agree; runs share a row only if, seeds aside, they
were configured alike. Search seeds and retrain seeds stay two levels throughout.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.records import Record
from methods.architecture import canonical_json

SEED_KEYS = frozenset({"search_seed", "retrain_seed", "run", "source"})
"""Keys of a configuration, at any depth, in which runs of one row may differ: seeds, and runs named by signature."""

RANDOM_METHOD = "random_sampling"
FINE_TUNED = " (fine-tuned)"
HOUR = 3600.0


@dataclass(frozen=True, order=True)
class Setting:
    """What rows must have in common to stand in one table.

    `details` says in words what else decides a comparison: reduced data, and the size of networks whose architecture
    does not fix its own.
    """

    dataset: str
    profile: str
    recipe: str
    recipe_hash: str
    details: str = ""

    @property
    def title(self) -> str:
        title = f"{self.dataset}, profile {self.profile}, recipe {self.recipe} ({self.recipe_hash[:8]})"
        return f"{title}, {self.details}" if self.details else title

    @property
    def slug(self) -> str:
        """For file names and anchors."""
        more = f"-{hashlib.sha256(self.details.encode()).hexdigest()[:4]}" if self.details else ""
        text = f"{self.dataset}-{self.profile}-{self.recipe}-{self.recipe_hash[:8]}{more}"
        return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


@dataclass
class Row:
    """All runs of one line of a table.

    Attributes:
        label: as the experiment named it; extended where two configurations carry the same label.
        trains: finished retrainings.
        unfinished: retrainings asked for but not done.
        searches: searches and transforms the row rests on, and further ones of its label, finished or not.
        complete: the records hold every run the row's retrainings rest on.
        notes: what a reader should know before trusting the line.
    """

    setting: Setting
    label: str
    method: str
    inheritance: str
    trains: list[Record] = field(default_factory=list)
    unfinished: list[Record] = field(default_factory=list)
    searches: list[Record] = field(default_factory=list)
    complete: bool = True
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
    def errors(self) -> dict[int, dict[int, float]]:
        """Test error in percent, last epoch: {search seed: {retrain seed: error}}."""
        return self.metric("test_error")

    def metric(self, name: str) -> dict[int, dict[int, float]]:
        nested: dict[int, dict[int, float]] = defaultdict(dict)
        for record in self.trains:
            value = number(part(record, "metrics").get(name))
            if value is not None:
                nested[search_seed(record)][record.info.retrain_seed or 0] = value
        return {seed: dict(sorted(values.items())) for seed, values in sorted(nested.items())}

    @property
    def units(self) -> dict[int, dict[int, float]]:
        """Test errors by independent unit and repetition: by search and retraining; unsearched, by retraining."""
        if self.searched:
            return self.errors
        return {seed: {0: value} for values in self.errors.values() for seed, value in values.items()}

    @property
    def samples(self) -> list[list[float]]:
        """The values of `units`, without their seeds."""
        return [list(values.values()) for values in self.units.values()]


@dataclass(frozen=True)
class Summary:
    """The numbers of a row; None where a record does not hold what is needed.

    Attributes:
        searches: searches (search seeds) with a retrained result; 0 for a published or given architecture.
        retrains: retrainings of each search, fewest and most.
        error, error_best: mean over searches of their means, and the same of the best epoch, in percent.
        std_searches: standard deviation of the searches' means (it contains the retraining noise over retrainings).
        std_retrains: standard deviation between retrainings of one architecture, pooled over the searches.
        params, params_nonzero, macs, macs_sparse: means over searches, in units (not millions).
        search_hours: device-hours of all searches and transforms of the row together.
        search_memory, train_memory: largest peak, bytes.
    """

    searches: int
    retrains: tuple[int, int]
    runs: int
    error: float | None
    error_best: float | None
    std_searches: float | None
    std_retrains: float | None
    params: float | None
    params_nonzero: float | None
    params_training: float | None
    macs: float | None
    macs_sparse: float | None
    search_hours: float | None
    train_hours: float | None
    search_memory: float | None
    train_memory: float | None
    latency_ms: float | None
    latency_batch: int | None
    resolution: int | None


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


def collect(records: Iterable[Record]) -> tuple[list[Row], list[str]]:
    """Rows of all retrainings, best first within a setting, and what was wrong with the records.

    A run that appears twice (two folders hold the same signature) is counted once.
    """
    sound, problems = _sound(records)
    unique, contradictions = _without_copies(sound)
    problems += contradictions
    by_signature = {record.info.signature: record for record in unique}
    variants = {record.info.signature: variant(record, by_signature) for record in unique}
    rows: dict[tuple[Any, ...], Row] = {}
    for record in unique:
        if record.info.phase != "train":
            continue
        info = record.info
        key = (_setting(record), info.label, info.method, info.inheritance, variants[info.signature])
        row = rows.setdefault(key, Row(key[0], info.label, info.method, info.inheritance))
        usable = info.status == "done" and record.result is not None
        if usable and number(part(record, "metrics").get("test_error")) is None:
            problems.append(f"{record.path}: its result has no test_error; left out")
            usable = False
        (row.trains if usable else row.unfinished).append(record)
    _attach_searches(rows, unique, by_signature)
    _separate_labels(rows, problems)
    for row in rows.values():
        row.notes.extend(_shortcomings(row))
    return sorted(rows.values(), key=_order), problems


def ancestors(record: Record, by_signature: Mapping[str, Record]) -> list[Record]:
    """Every run a run rests on, nearest first, each once."""
    found: dict[str, Record] = {}
    frontier = list(record.info.needs)
    while frontier:
        signature = frontier.pop(0)
        if signature in found or signature not in by_signature:
            continue
        found[signature] = by_signature[signature]
        frontier.extend(found[signature].info.needs)
    return list(found.values())


def variant(record: Record, by_signature: Mapping[str, Record]) -> str:
    """A digest of a run's configuration and of what it rests on, seeds aside."""
    parts = [without_seeds(run.info.config) for run in [record, *ancestors(record, by_signature)]]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:8]


def without_seeds(value: Any) -> Any:
    """A configuration without the keys in which repetitions differ."""
    if isinstance(value, Mapping):
        return {key: without_seeds(item) for key, item in value.items() if key not in SEED_KEYS}
    if isinstance(value, list | tuple):
        return [without_seeds(item) for item in value]
    return value


def summarise(row: Row) -> Summary:
    """All numbers of a row."""
    errors, counts = row.errors, [len(values) for values in row.errors.values()]
    batch = _cost(row, "latency_batch")
    resolution = _cost(row, "resolution")
    return Summary(
        searches=len(errors) if row.searched else 0,
        retrains=(min(counts), max(counts)) if counts else (0, 0),
        runs=sum(counts),
        error=mean_of_means(errors),
        error_best=_best_epoch_error(row),
        std_searches=_std([float(np.mean(list(v.values()))) for v in errors.values()]) if row.searched else None,
        std_retrains=pooled_std(list(values.values()) for values in errors.values()),
        params=_cost(row, "params"),
        params_nonzero=_cost(row, "params_nonzero"),
        params_training=_cost(row, "params_training"),
        macs=_cost(row, "macs"),
        macs_sparse=_cost(row, "macs_sparse"),
        search_hours=_search_hours(row),
        train_hours=_train_hours(row),
        search_memory=_largest(row, "search_peak_memory"),
        train_memory=_largest(row, "peak_memory"),
        latency_ms=_cost(row, "latency_ms"),
        latency_batch=None if batch is None else int(batch),
        resolution=None if resolution is None else int(resolution),
    )


def mean_of_means(nested: Mapping[int, Mapping[int, float]]) -> float | None:
    """Mean over searches of the mean over their retrainings: every search weighs the same."""
    means = [float(np.mean(list(values.values()))) for values in nested.values() if values]
    return float(np.mean(means)) if means else None


def pooled_std(groups: Iterable[list[float]]) -> float | None:
    """Within-group standard deviation, pooled by degrees of freedom; None without a group of two."""
    squares = freedom = 0.0
    for values in groups:
        squares += float(np.sum((np.array(values) - np.mean(values)) ** 2))
        freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else None


def is_random(row: Row) -> bool:
    """Whether a row is random sampling, the baseline of relative improvement."""
    return row.method == RANDOM_METHOD


def _sound(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Records whose parts are of the kinds they should be; one message for each other."""
    kept, problems = [], []
    for record in records:
        info, result = record.info, record.result or {}
        wrong = [
            name
            for name, value, kind in (
                ("config", info.config, dict),
                ("environment", info.environment, dict),
                ("recipe", info.recipe, dict),
                ("needs", info.needs, list),
                ("metrics", result.get("metrics") or {}, dict),
                ("costs", result.get("costs") or {}, dict),
            )
            if not isinstance(value, kind)
        ]
        if wrong:
            problems.append(f"{record.path}: {', '.join(wrong)} not as expected; left out")
        else:
            kept.append(record)
    return kept, problems


def _without_copies(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    kept: dict[str, Record] = {}
    problems: list[str] = []
    for record in records:
        first = kept.setdefault(record.info.signature, record)
        if first is record:
            continue
        if first.result is None and record.result is not None:
            kept[record.info.signature] = record
        elif first.result and record.result and first.result.get("metrics") != record.result.get("metrics"):
            problems.append(f"{record.path} and {first.path} are the same run with different results; kept the latter")
    return list(kept.values()), problems


def _setting(record: Record) -> Setting:
    info, recipe = record.info, record.info.recipe
    return Setting(info.dataset, info.profile, recipe.get("name", ""), recipe.get("hash", ""), _details(info.config))


def _details(config: Mapping[str, Any]) -> str:
    data, network = config.get("data") or {}, config.get("network") or {}
    words = {"train_images": "training images", "test_images": "test images", "image_size": "pixels"}
    parts = [f"{data[key]} {word}" for key, word in words.items() if data.get(key) is not None]
    if network:
        parts.append(f"C={network.get('channels')}, {network.get('cells')} cells")
    if config.get("precision", "fp32") != "fp32":
        parts.append(str(config["precision"]))
    return ", ".join(parts)


def _attach_searches(
    rows: Mapping[tuple[Any, ...], Row], records: list[Record], by_signature: Mapping[str, Record]
) -> None:
    """Searches a row rests on; and those of its label that nothing was retrained from, for the cost counts them too."""
    used: set[str] = set()
    for row in rows.values():
        found = {
            run.info.signature: run
            for train in [*row.trains, *row.unfinished]
            for run in ancestors(train, by_signature)
            if run.info.phase != "train"
        }
        used |= set(found)
        rested = [*row.trains, *(run for train in row.trains for run in ancestors(train, by_signature))]
        row.complete = all(signature in by_signature for run in rested for signature in run.info.needs)
        row.searches = sorted(found.values(), key=lambda run: (run.info.phase, search_seed(run)))
    for record in records:
        info = record.info
        if info.phase == "train" or info.signature in used:
            continue
        for row in rows.values():
            same = (row.label, row.method, row.setting.dataset, row.setting.profile)
            if same == (info.label, info.method, info.dataset, info.profile):
                row.searches.append(record)


def _separate_labels(rows: Mapping[tuple[Any, ...], Row], problems: list[str]) -> None:
    """Rows of one table that would carry the same name get the digest of their configuration behind it."""
    names: dict[tuple[Setting, str], list[tuple[Any, ...]]] = defaultdict(list)
    for key, row in rows.items():
        names[row.setting, row.name].append(key)
    for (setting, name), keys in names.items():
        if len(keys) < 2:
            continue
        problems.append(
            f"{setting.title}: runs called '{name}' have {len(keys)} different configurations; "
            "they stand in separate rows, named by a digest of the configuration"
        )
        for key in keys:
            rows[key].label = f"{rows[key].label} [{key[-1][:6]}]"


def _shortcomings(row: Row) -> list[str]:
    notes = []
    if row.unfinished:
        failed = sum(record.info.status == "failed" for record in row.unfinished)
        total = len(row.trains) + len(row.unfinished)
        notes.append(f"{len(row.trains)} of {total} retrainings finished" + (f", {failed} failed" if failed else ""))
    counts = {len(values) for values in row.errors.values()}
    if len(counts) > 1:
        notes.append(f"unequal retrainings by search ({min(counts)} to {max(counts)}); every search weighs the same")
    commits = {str(record.info.environment.get("commit")) for record in row.trains}
    if len(commits) > 1:
        notes.append(f"runs of {len(commits)} commits")
    if any(record.info.environment.get("dirty") for record in row.trains):
        notes.append("made from a working tree with uncommitted changes")
    return notes


def _order(row: Row) -> tuple[Setting, bool, float, str]:
    error = mean_of_means(row.errors)
    return row.setting, error is None, error or 0.0, row.name


def _std(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _costs(record: Record, name: str) -> float | None:
    return number(part(record, "costs").get(name))


def _cost(row: Row, name: str) -> float | None:
    """Mean over searches of the mean over their runs; None unless every run has it."""
    nested: dict[int, dict[int, float]] = defaultdict(dict)
    for index, record in enumerate(row.trains):
        value = _costs(record, name)
        if value is None:
            return None
        nested[search_seed(record)][index] = value
    return mean_of_means(nested)


def _largest(row: Row, name: str) -> float | None:
    values = [value for record in row.trains if (value := _costs(record, name)) is not None]
    return max(values) if values else None


def _search_hours(row: Row) -> float | None:
    """Device-hours of all searches and transforms of the row, each once.

    From their own records where all are there; otherwise from what the retrainings remember of them.
    """
    if not row.trains:
        return None
    own = [_costs(run, "device_s") for run in row.searches]
    if own and row.complete and None not in own:
        return sum(seconds or 0.0 for seconds in own) / HOUR
    by_seed: dict[int, float] = {}
    for record in row.trains:
        seconds = _costs(record, "search_device_s")
        if seconds is None:
            return None
        by_seed[search_seed(record)] = max(seconds, by_seed.get(search_seed(record), 0.0))
    return sum(by_seed.values()) / HOUR


def _train_hours(row: Row) -> float | None:
    values = [_costs(record, "device_s") for record in row.trains]
    known = [value for value in values if value is not None]
    return sum(known) / HOUR if known and len(known) == len(values) else None


def _best_epoch_error(row: Row) -> float | None:
    best = mean_of_means(row.metric("best_test_accuracy"))
    return None if best is None else 100.0 - best
