"""How a record looks in MLflow: names, params, tags and metrics. No MLflow in here, only plain values."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.records import Record
from methods.architecture import canonical_json

STATUS = {
    "pending": "SCHEDULED",
    "running": "RUNNING",
    "done": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
_SPLITS = ("train", "valid", "test")
_FORBIDDEN = re.compile(r"[^\w\-. :/]")

Value = tuple[str, float, int, int]
"""A metric: key, value, timestamp in milliseconds, step."""


def child_name(record: Record) -> str:
    """A name to read in a list of runs, e.g. "train darts s0 r1"."""
    info = record.info
    parts = [info.phase, info.label]
    parts += ["finetune"] if info.inheritance == "finetune" else []
    parts += [] if info.search_seed is None else [f"s{info.search_seed}"]
    parts += [] if info.retrain_seed is None else [f"r{info.retrain_seed}"]
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
    return {name: str(value) for name, value in values.items() if value is not None}


def params(config: Mapping[str, Any]) -> dict[str, str]:
    """The configuration, flat: {"method": {"channels": 16}} becomes {"method.channels": "16"}."""
    return {_FORBIDDEN.sub("_", name): _text(value) for name, value in _flatten(config, "")}


def _flatten(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}" if prefix else str(name))
    elif prefix:
        yield prefix, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def epoch_metrics(phase: str, line: Mapping[str, Any]) -> list[Value]:
    """The metrics of one line of metrics.jsonl, e.g. "search/train_loss", "arch/skips_normal", "time/wall_s"."""
    moment, step = round(line["time"] * 1000), int(line["epoch"])
    named = {metric_name(phase, name): value for name, value in line["values"].items()}
    named |= {"time/wall_s": line["wall_s"], "time/device_s": line["device_s"]}
    return [(name, value, moment, step) for name, value in _numbers(named)]


def result_metrics(record: Record) -> list[Value]:
    """Final metrics and costs, e.g. "result/test_accuracy", "cost/params"."""
    result = record.result or {}
    moment, step = round((record.info.finished or record.info.created) * 1000), int(result.get("epochs") or 0)
    groups = (("result", result.get("metrics")), ("cost", result.get("costs")))
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
    return _FORBIDDEN.sub("_", name)


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers as they are, lists entry by entry; what is missing or not a number is left out."""
    for name, value in values.items():
        if isinstance(value, list | tuple):
            yield from _numbers({f"{name}/{position:02d}": item for position, item in enumerate(value)})
        elif isinstance(value, int | float) and not isinstance(value, bool) and not math.isinf(value):
            yield name, float(value)


def digest(value: Any) -> str:
    """A short hash of JSON values; NaN is allowed (a run that diverged logs it)."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def state(record: Record, shown_status: str, lines: list[dict[str, Any]], architecture: bytes) -> str:
    """A hash of everything that is mirrored: as long as it stays, there is nothing to do."""
    return digest([asdict(record.info), record.result, shown_status, lines, architecture])
