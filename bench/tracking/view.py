"""How a record looks in MLflow: names, params, tags and metrics. No MLflow in here, only plain values."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.directory import Record, RecordError
from methods.architecture import canonical_json

STATUS = {
    "pending": "SCHEDULED",
    "running": "RUNNING",
    "done": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
FILES = ("run.json", "result.json", "metrics.jsonl", "architecture.json")
"""The files of a run directory that decide what is shown."""
_SPLITS = ("train", "valid", "test")
_LONGEST_NAME, _LONGEST_PARAM, _LONGEST_TAG = 250, 6000, 8000  # characters; MLflow takes no more
_LATEST = 253_402_300_799.0  # the last second of the year 9999
_MOST_STEPS = 2**53
_LARGEST = sys.float_info.max
_FORBIDDEN = re.compile(r"[^\w\-. :/]")

Value = tuple[str, float, int, int]
"""A metric: key, value, timestamp in milliseconds, step."""


@dataclass(frozen=True)
class Shown:
    """A nested run as MLflow gets it; `start` and `end` in milliseconds, `end` None while it goes on."""

    name: str
    status: str
    start: int
    end: int | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Value]


def shown(record: Record, status: str, lines: list[dict[str, Any]], last_sign: float) -> Shown:
    """What a record is shown as.

    Args:
        lines: of metrics.jsonl.
        last_sign: when the record was last written to, which is its end where it does not say.

    Raises:
        RecordError: it holds values that nothing can show, such as a time before 1970.
    """
    info = record.info
    try:
        metrics = [value for line in lines for value in epoch_metrics(info.phase, line)] + result_metrics(record)
        going_on = status in ("RUNNING", "SCHEDULED")
        return Shown(
            name=_clean(child_name(record))[:_LONGEST_NAME],
            status=status,
            start=milliseconds(info.started or info.created),
            end=None if going_on else milliseconds(info.finished or last_sign),
            tags=tags(record) | {"dasbench.lines": f"{len(lines)}:{digest(lines)}"},
            params=params(info.config),
            metrics=metrics,
        )
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise RecordError(f"{record.path} cannot be shown in MLflow ({cause}); its record was edited") from error


def child_name(record: Record) -> str:
    """A name to read in a list of runs, e.g. "train darts s0 r1"."""
    info = record.info
    parts = [info.phase, info.label]
    parts += ["finetune"] if info.inheritance == "finetune" else []
    parts += [] if info.search_seed is None else [f"s{info.search_seed}"]
    parts += [] if info.retrain_seed is None else [f"r{info.retrain_seed}"]
    parts += [] if info.proposal is None else [f"p{info.proposal}"]
    return " ".join(parts)


def key(record: Record) -> str:
    """What tells a run from all others, wherever its directory lies: what was asked, and when it was first created."""
    return f"{record.info.signature}-{record.info.created:.6f}"


def tags(record: Record) -> dict[str, str]:
    """Tags to filter by. What is unknown is left out."""
    info, environment = record.info, record.info.environment
    values = {
        "method": info.method,
        "label": info.label,
        "shared_by": ", ".join(info.also) or None,
        "dataset": info.dataset,
        "experiment": info.experiment,
        "profile": info.profile,
        "phase": info.phase,
        "inheritance": info.inheritance if info.phase == "train" else None,
        "search_seed": info.search_seed,
        "retrain_seed": info.retrain_seed,
        "signature": info.signature,
        "recipe": info.recipe.get("name"),
        "recipe_hash": info.recipe.get("hash"),
        "device": environment.get("device"),
        "host": environment.get("host"),
        "commit": environment.get("commit"),
        "dirty": environment.get("dirty"),
        "architecture": (record.result or {}).get("architecture"),
        "run_directory": str(record.path.absolute()),
        "error": info.error,
        "mlflow.source.name": "dasbench",
        "mlflow.source.git.commit": environment.get("commit"),
        "mlflow.user": environment.get("started_by"),
    }
    return {name: _clean(str(value))[:_LONGEST_TAG] for name, value in values.items() if value is not None}


def params(config: Mapping[str, Any]) -> dict[str, str]:
    """The configuration, flat: {"method": {"channels": 16}} becomes {"method.channels": "16"}."""
    return {_name(name): _text(value) for name, value in _flatten(config, "")}


def _flatten(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}" if prefix else str(name))
    elif prefix:
        yield prefix, value


def _text(value: Any) -> str:
    return _clean(value if isinstance(value, str) else canonical_json(value))[:_LONGEST_PARAM]


def _clean(text: str) -> str:
    """Without halves of characters, which JSON can hold and no database."""
    return text.encode("utf-8", "replace").decode()


def _name(text: str) -> str:
    """A name that MLflow takes: it may become a path, so no part of it is empty or made of dots alone."""
    parts = [part if part.strip(".") else "_" for part in _FORBIDDEN.sub("_", text).split("/") if part]
    return "/".join(parts)[:_LONGEST_NAME].rstrip("/") or "_"


def is_moment(seconds: float) -> bool:
    """Whether it can be a time, in seconds since 1970."""
    return 0 <= seconds <= _LATEST


def milliseconds(seconds: float) -> int:
    if not is_moment(seconds):
        raise ValueError(f"{seconds!r} is not a time in seconds since 1970")
    return round(seconds * 1000)


def _step(epochs: Any) -> int:
    if not 0 <= int(epochs) < _MOST_STEPS:
        raise ValueError(f"{epochs!r} is not a number of epochs")
    return int(epochs)


def epoch_metrics(phase: str, line: Mapping[str, Any]) -> list[Value]:
    """The metrics of one line of metrics.jsonl, e.g. "search/train_loss", "arch/skips_normal", "time/wall_s"."""
    moment, step = milliseconds(line["time"]), _step(line["epoch"])
    named = {metric_name(phase, name): value for name, value in line["values"].items()}
    named |= {"time/wall_s": line["wall_s"], "time/device_s": line["device_s"]}
    return [(name, value, moment, step) for name, value in _numbers(named)]


def result_metrics(record: Record) -> list[Value]:
    """Final metrics and costs, e.g. "result/test_accuracy", "cost/params"; of a batch, "result_at_50/regret"."""
    result = record.result or {}
    moment, step = milliseconds(record.info.finished or record.info.created), _step(result.get("epochs") or 0)
    budgets = ((f"result_at_{number}", values) for number, values in (result.get("budgets") or {}).items())
    groups = (("result", result.get("metrics")), ("cost", result.get("costs")), *budgets)
    named = {f"{group}/{name}": value for group, values in groups for name, value in (values or {}).items()}
    return [(name, value, moment, step) for name, value in _numbers(named)]


def metric_name(phase: str, name: str) -> str:
    """What belongs to the loop itself is grouped by its phase; a method's own values keep their group.

    In a search "train/loss" becomes "search/train_loss" and "lr" becomes "search/lr"; "mgas/lambda" stays.
    """
    group, _, rest = name.partition("/")
    if not rest:
        name = f"{phase}/{group}"
    elif group in _SPLITS:
        name = f"{phase}/{group}_{rest.replace('/', '_')}"
    return _name(name)


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers as they are, lists entry by entry; what is missing or not a number is left out."""
    for name, value in values.items():
        if isinstance(value, list | tuple):
            yield from _numbers({f"{name}/{position:02d}": item for position, item in enumerate(value)})
        elif isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LARGEST:
            yield name, float(value)


def digest(value: Any) -> str:
    """A short hash of JSON values; NaN is allowed (a run that diverged logs it)."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def state(shown_status: str, files: Mapping[str, bytes]) -> str:
    """A hash of everything that decides what is shown: as long as it stays, there is nothing to do.

    Args:
        files: the content of FILES, by name; empty for one that is not there.
    """
    found = hashlib.sha256(f"2 {shown_status}".encode())  # 2: this way of hashing
    for name in FILES:
        found.update(f"\n{name} {len(files[name])}\n".encode())
        found.update(files[name])
    return found.hexdigest()[:16]
