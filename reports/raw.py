"""Every finished retraining as measured, so that each mean of a table can be recomputed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from bench.records.directory import Record
from methods.tasks import Task
from reports.analysis import Table
from reports.cells import csv_cell
from reports.rows import part

COSTS = (
    "params", "params_training", "params_nonzero", "macs", "macs_fvcore", "macs_sparse", "resolution", "latency_ms",
    "latency_batch", "peak_memory", "wall_s", "device_s", "search_device_s", "search_peak_memory",
)  # fmt: skip


def runs_csv(tables: Sequence[Table]) -> str:
    """One line a retraining, named columns, full precision, empty where nothing was measured."""
    out = io.StringIO()
    lines: list[dict[str, Any]] = [
        {"method": entry.row.label, "dataset": table.setting.dataset, "profile": table.setting.profile,
         "recipe": table.setting.recipe, "recipe_hash": table.setting.recipe_hash,
         "details": table.setting.details} | _measured(run, table.task)
        for table in tables
        for entry in [*table.entries, *table.intermediate]
        for run in entry.row.trains
    ]  # fmt: skip
    most = max(map(len, lines), default=0)
    names = next((list(line) for line in lines if len(line) == most), ["method"])
    names += sorted({name for line in lines for name in line} - set(names))  # of other tasks
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else csv_cell(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _metrics(task: Task) -> list[str]:
    """What a training measures, in the order of the columns."""
    metric, headline = task.metric.key, task.headline.key
    own = [f"test_{headline}", f"test_{metric}", *(f"test_{other.key}" for other in task.others)]
    baseline = [f"baseline_{each.key}" for each in task.metrics] if task.baseline_name else []
    return [*own, "test_loss", f"best_test_{metric}", "best_epoch", f"train_{metric}", *baseline]


def _measured(run: Record, task: Task) -> dict[str, Any]:
    result, info = run.result or {}, run.info
    metrics, costs = part(run, "metrics"), part(run, "costs")
    return {
        "inheritance": info.inheritance,
        "intermediate": info.intermediate,
        "search_seed": info.search_seed,
        "retrain_seed": info.retrain_seed,
        **{name: metrics.get(name) for name in _metrics(task)},
        **{name: costs.get(name) for name in COSTS},
        "architecture": result.get("architecture"),
        "signature": info.signature,
        "commit": info.environment.get("commit"),
        "device": info.environment.get("device"),
        "run_directory": f"{run.path.parent.name}/{run.path.name}",  # below RUNS_DIR, wherever that lies
    }
