"""Every finished retraining as measured, so that each mean of a table can be recomputed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from bench.records.directory import Record
from reports.analysis import Table
from reports.cells import csv_cell
from reports.rows import part

METRICS = ("test_error", "test_accuracy", "test_loss", "best_test_accuracy", "best_epoch", "train_accuracy")
COSTS = (
    "params", "params_training", "params_nonzero", "macs", "macs_fvcore", "macs_sparse", "resolution", "latency_ms",
    "latency_batch", "peak_memory", "wall_s", "device_s", "search_device_s", "search_peak_memory",
)  # fmt: skip


def runs_csv(tables: Sequence[Table]) -> str:
    """One line a retraining, named columns, full precision, empty where nothing was measured."""
    out = io.StringIO()
    lines = [
        {"method": entry.row.label, "dataset": table.setting.dataset, "profile": table.setting.profile,
         "recipe": table.setting.recipe, "recipe_hash": table.setting.recipe_hash,
         "details": table.setting.details} | _measured(run)
        for table in tables
        for entry in [*table.entries, *table.intermediate]
        for run in entry.row.trains
    ]  # fmt: skip
    writer = csv.DictWriter(out, list(lines[0]) if lines else ["method"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else csv_cell(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _measured(run: Record) -> dict[str, Any]:
    result, info = run.result or {}, run.info
    metrics, costs = part(run, "metrics"), part(run, "costs")
    return {
        "inheritance": info.inheritance,
        "intermediate": info.intermediate,
        "search_seed": info.search_seed,
        "retrain_seed": info.retrain_seed,
        **{name: metrics.get(name) for name in METRICS},
        **{name: costs.get(name) for name in COSTS},
        "architecture": result.get("architecture"),
        "signature": info.signature,
        "commit": info.environment.get("commit"),
        "device": info.environment.get("device"),
        "run_directory": str(run.path),
    }
