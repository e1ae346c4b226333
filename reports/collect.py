"""From run records to rows: which runs belong together.

Two rows share a table only if data set, profile, recipe (by hash) and sizes agree; runs share a row only if, seeds
aside, they were configured alike.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from bench.names import one_line
from bench.records.directory import Record
from bench.records.run_info import RunInfo, built_on
from methods.architecture import PLAIN, canonical_json
from methods.domain import MethodError
from methods.tasks import task_of
from reports.coupling import origins
from reports.endings import endings
from reports.rows import Row, Setting, mean_of_means, number, part, search_seed
from reports.sizes import of_cells, of_space, say_sizes

SEED_KEYS = frozenset({"search_seed", "retrain_seed", "run", "found", "source", "file"})
"""Keys of a configuration, at any depth, in which runs of one row may differ: seeds, runs named by signature and what
they found, and where the file of a given architecture lay (older records name it; its digest stands beside it)."""
SHOWN = ("train", "count")
"""Phases whose runs are the rows of a table."""
PART = "score"
"""Runs that are parts of a search, whose record says what they took together."""


def collect(records: Iterable[Record]) -> tuple[list[Row], list[str]]:
    """Rows of all retrainings, best first within a setting, and what was wrong with the records.

    A run that appears twice (two folders hold the same signature) is counted once.
    """
    sound, problems = _sound(records)
    unique, contradictions = without_copies(sound)
    problems += contradictions
    by_signature = {record.info.signature: record for record in unique}
    shown = [record for record in unique if record.info.phase in SHOWN and not record.info.config.get("question")]
    shown = [record for record in shown if _has_task(record, problems)]
    variant, settings = variants(shown, by_signature), _settings(shown, problems)
    rows: dict[tuple[Any, ...], Row] = {}
    for record in shown:
        info = record.info
        usable = info.status == "done" and record.result is not None
        wanted = f"test_{settings[info.signature].metric.key}"
        if info.phase == "train" and usable and number(part(record, "metrics").get(wanted)) is None:
            problems.append(f"{record.path}: its result has no {wanted}; left out")
            usable = False
        for label in map(one_line, info.rows):
            key = (settings[info.signature], label, info.method, info.inheritance, variant[info.signature])
            new = Row(key[0], label, info.method, info.inheritance, intermediate=info.intermediate)
            row = rows.setdefault(key, new)
            row.said = row.said or (info.note if label == one_line(info.label) else "")
            done = row.trains if info.phase == "train" else row.counted
            (done if usable else row.unfinished).append(record)
            if label != one_line(info.label):
                row.twin = one_line(info.label)
    _attach_searches(rows, unique, by_signature)
    for row in rows.values():
        row.origins = origins(row, by_signature)
    _separate_labels(rows, problems)
    say_sizes(rows.values())
    for row in rows.values():
        row.notes.extend([*endings(row.trains, row.searches), *_shortcomings(row)])
    return sorted(rows.values(), key=_order), problems


def _has_task(record: Record, problems: list[str]) -> bool:
    """Whether a record's task is one that is known here."""
    try:
        task_of(record.info.config)
    except (MethodError, KeyError, TypeError) as error:
        problems.append(f"{record.path}: {error}; left out")
        return False
    return True


def ancestors(
    record: Record, by_signature: Mapping[str, Record], needs: Callable[[RunInfo], list[str]] = lambda info: info.needs
) -> list[Record]:
    """Every run a run rests on, nearest first, each once; by all it needs, or by what `needs` says."""
    found: dict[str, Record] = {}
    frontier = list(needs(record.info))
    while frontier:
        signature = frontier.pop(0)
        if signature in found or signature not in by_signature:
            continue
        found[signature] = by_signature[signature]
        frontier.extend(needs(found[signature].info))
    return list(found.values())


def variants(records: Sequence[Record], by_signature: Mapping[str, Record]) -> dict[str, str]:
    """By signature a digest of each run's configuration and of what it rests on, seeds aside."""

    @cache
    def text(signature: str) -> str:
        return canonical_json(without_seeds(by_signature[signature].info.config))

    def digest(record: Record) -> str:
        parts = [text(run.info.signature) for run in [record, *ancestors(record, by_signature)]]
        return hashlib.sha256(f"[{','.join(parts)}]".encode()).hexdigest()[:8]

    return {record.info.signature: digest(record) for record in records}


def without_seeds(value: Any) -> Any:
    """A configuration without the keys in which repetitions differ."""
    if type(value) in PLAIN:
        return value
    if type(value) is dict or isinstance(value, Mapping):
        kept = ((key, item) for key, item in value.items() if key not in SEED_KEYS)
        return {key: item if type(item) in PLAIN else without_seeds(item) for key, item in kept}
    if isinstance(value, list | tuple):
        return [without_seeds(item) for item in value]
    return value


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


def without_copies(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Each run once, the finished copy if there is one, under the rows of all copies; and what contradicts itself."""
    kept: dict[str, Record] = {}
    problems: list[str] = []
    for record in records:
        first = kept.setdefault(record.info.signature, record)
        if first is record:
            continue
        rows = list(dict.fromkeys([*first.info.rows, *record.info.rows]))
        taken = record if first.result is None and record.result is not None else first
        also = [row for row in rows if row != taken.info.label]
        kept[record.info.signature] = replace(taken, info=replace(taken.info, also=also))
        if first.result and record.result and first.result.get("metrics") != record.result.get("metrics"):
            problems.append(f"{record.path} and {first.path} are the same run with different results; kept the latter")
    return list(kept.values()), problems


def _settings(records: list[Record], problems: list[str]) -> dict[str, Setting]:
    """The setting of every retraining, by signature; runs on other data of the same name are in another one.

    Records that do not say what the data were (earlier versions) stand with the others while there is only one kind.
    """
    settings = {record.info.signature: _setting(record) for record in records}
    data = {record.info.signature: _data(record) for record in records}
    kinds: dict[Setting, set[str]] = defaultdict(set)
    for name, setting in settings.items():
        kinds[setting] |= {data[name]} - {""}
    for setting in sorted(setting for setting, found in kinds.items() if len(found) > 1):
        problems.append(f"{setting.title}: made from {len(kinds[setting])} different sets of images, each in its table")

    def separated(name: str) -> Setting:
        setting = settings[name]
        if len(kinds[setting]) < 2:
            return setting
        said = f"data {data[name] or 'unknown'}"
        return replace(setting, details=f"{setting.details}, {said}" if setting.details else said)

    return {name: separated(name) for name in settings}


def _data(record: Record) -> str:
    """The data of a retraining, training and test images together; empty where the record does not say.

    A network that is counted sees none; a run that ended before it opened the test images knows half of them.
    """
    parts = record.info.environment.get("data") or {}
    if record.info.phase == "count" or "test" not in parts:
        return ""
    found = [f"{name} {part.get('digest')}" for name, part in sorted(parts.items()) if isinstance(part, Mapping)]
    return hashlib.sha256(canonical_json(found).encode()).hexdigest()[:8] if found else ""


def _setting(record: Record) -> Setting:
    info, recipe = record.info, record.info.recipe
    task = task_of(info.config)
    details = ", ".join(filter(None, [task.title, _details(info.config)]))
    return Setting(info.dataset, info.profile, recipe.get("name", ""), recipe.get("hash", ""), details, task=task)


def data_details(config: Mapping[str, Any]) -> str:
    """What else than the data set's name says on what images runs were made, in words; and in which precision."""
    return ", ".join([*_data_parts(config), *_precision(config)])


def _details(config: Mapping[str, Any]) -> str:
    network = config.get("network") or {}
    parts = _data_parts(config)
    if network:
        parts.append(of_cells(network))
    parts += [of_space(space, scale) for space, scale in network.get("scales", {}).items()]
    return ", ".join([*parts, *_precision(config)])


def _data_parts(config: Mapping[str, Any]) -> list[str]:
    data = config.get("data") or {}
    words = {"train_images": "training images", "test_images": "test images", "image_size": "pixels"}
    most = {f"most_{key}": f"{word} at most" for key, word in words.items()}
    words |= most
    return [f"{data[key]} {word}" for key, word in words.items() if data.get(key) is not None]


def _precision(config: Mapping[str, Any]) -> list[str]:
    return [str(config["precision"])] if config.get("precision", "fp32") != "fp32" else []


def _attach_searches(
    rows: Mapping[tuple[Any, ...], Row], records: list[Record], by_signature: Mapping[str, Record]
) -> None:
    """Searches a row rests on; and those of its label that nothing was retrained from, for the cost counts them too."""
    used: set[str] = set()
    for row in rows.values():
        found = {
            run.info.signature: run
            for train in [*row.trains, *row.unfinished]
            for run in ancestors(train, by_signature, built_on)
            if run.info.phase not in (*SHOWN, PART)
        }
        used |= set(found)
        rested = [*row.trains, *(run for train in row.trains for run in ancestors(train, by_signature))]
        row.complete = all(signature in by_signature for run in rested for signature in run.info.needs)
        row.searches = sorted(found.values(), key=lambda run: (run.info.phase, search_seed(run)))
    for record in records:
        info = record.info
        if info.phase in (*SHOWN, PART, "inherit") or info.signature in used:
            continue
        for row in rows.values():
            same = (row.label, row.method, row.setting.dataset, row.setting.profile)
            if same == (info.label, info.method, info.dataset, info.profile):
                row.searches.append(record)


def _separate_labels(rows: Mapping[tuple[Any, ...], Row], problems: list[str]) -> None:
    """Rows of one table that would carry the same name get the digest of their configuration behind it."""
    names: dict[tuple[Setting, str], list[tuple[Any, ...]]] = defaultdict(list)
    for key, row in rows.items():
        if row.intermediate:
            continue
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
    notes = [row.said] if row.said else []
    if row.counted:
        notes.append("counted, not trained")
    notes += _origin(row)
    if row.twin is not None:
        notes.append(f"the same configuration as '{row.twin}', whose runs these are")
    if row.unfinished:
        failed = sum(record.info.status == "failed" for record in row.unfinished)
        total = len(row.trains) + len(row.unfinished)
        notes.append(f"{len(row.trains)} of {total} retrainings finished" + (f", {failed} failed" if failed else ""))
    counts = {len(values) for values in row.values.values()}
    if len(counts) > 1:
        notes.append(f"unequal retrainings by search ({min(counts)} to {max(counts)}); every search weighs the same")
    named = {name.removesuffix("+dirty") for record in row.trains for name in record.info.commits}
    if len(named) > 1:
        continued = sum(len(record.info.commits) > 1 for record in row.trains)
        more = f", {continued} of them continued at another than they began" if continued else ""
        notes.append(f"runs of {len(named)} commits{more}")
    if any(name.endswith("+dirty") for record in row.trains for name in record.info.commits):
        notes.append("made from a working tree with uncommitted changes")
    return notes


def _origin(row: Row) -> list[str]:
    """Which runs of which experiment the architectures are from."""
    carried = [run for run in row.searches if run.info.origin]
    if not carried:
        return []
    first = carried[0].info.origin
    where = f"row '{first['row']}' of {first['experiment']}, profile {first['profile']}"
    return [f"found by {where}: {', '.join(run.info.origin['run'] for run in carried)}"]


def _order(row: Row) -> tuple[Setting, bool, float, str]:
    value = mean_of_means(row.values)
    return row.setting, value is None, 0.0 if value is None else -row.setting.metric.score(value), row.name
