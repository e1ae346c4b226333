"""When a record is believed: its configuration is the one its signature names, its result is one a run can have."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from methods.architecture import canonical_json
from methods.domain import MethodError
from methods.tasks import Task, task_of

ANSWERS = ("train", "inherit", "lookup")
"""Phases that end in the task's headline on the test images."""
MEASURED = ("collect", "fit")
SAME = 1e-6
"""Largest difference between a headline and what follows from the metric (in percent, of accuracy and error)."""


def signature(config: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of a run's configuration."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:16]


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """What `bench.plan.recipe.Recipe.hash` gives for a recipe as it stands in a configuration."""
    fields = {key: value for key, value in recipe.items() if key not in ("name", "source")}
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()[:8]


def identity_fault(document: Mapping[str, Any]) -> str | None:
    """Why the content of run.json is not the run it says it is; None when it is.

    What stands beside the configuration (phase, data set, method, seeds, recipe, needs) must be what the configuration
    says, and the configuration must be the one whose hash is the signature.
    """
    config = document["config"]
    try:
        found = signature(config)
    except (TypeError, ValueError, RecursionError):
        return "its configuration holds values that no configuration has"
    if found != document["signature"]:
        return f"its configuration has the signature {found}, not {document['signature']}: it was changed"
    for key in ("phase", "dataset", "method", "search_seed", "retrain_seed", "inheritance"):
        if key in config and config[key] != document[key]:
            return f"{key} is {document[key]!r}, and {config[key]!r} in its configuration: it was changed"
    named = document["recipe"].get("hash")
    if named is not None and named != recipe_hash(config.get("recipe", {})):
        return f"recipe hash {named} is not that of the recipe in its configuration: it was changed"
    if not set(_named_runs(config)) <= set(document["needs"]):
        return f"needs {document['needs']} lack a run that its configuration names: it was changed"
    return None


def _named_runs(config: Mapping[str, Any]) -> Iterator[str]:
    for name in ("architecture", "match", "latency", "start", "listed"):
        if isinstance(config.get(name), Mapping) and "run" in config[name]:
            yield config[name]["run"]
    if config.get("source") is not None:
        yield config["source"]


def result_fault(result: Mapping[str, Any], phase: str) -> str | None:
    """Why this cannot be the result of a run of that phase; None when it can.

    Every metric and cost is a finite number of its domain, a text, or missing: metrics in the bounds of the run's task,
    costs not negative. A training, an evaluation of inherited weights and a look-up have the task's headline, all but
    those that measure latencies an architecture.
    """
    try:
        task = task_of(_config(result))
    except MethodError as error:
        return str(error)
    for part in ("metrics", "costs"):
        if not isinstance(result.get(part), Mapping):
            return f"it has no {part}"
        for name, value in result[part].items():
            fault = _value_fault(value, *((0.0, math.inf) if part == "costs" else _bounds(task, name)))
            if fault is not None:
                return f"{part}.{name} {fault}"
    if result.get("phase", phase) != phase:
        return f"it is of a run of phase '{result['phase']}', not '{phase}'"
    if "epochs" in result and not _is_count(result["epochs"]):
        return f"epochs is {result['epochs']!r}"
    if phase in ANSWERS:
        return _answer_fault(task, result["metrics"])
    if phase not in (*MEASURED, "compare") and not isinstance(result.get("architecture"), str):
        return "it names no architecture"
    return None


def _config(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the run that a result says it is of; results of earlier versions did not say."""
    run = result.get("run")
    config = run.get("config") if isinstance(run, Mapping) else None
    task = config.get("task") if isinstance(config, Mapping) else None
    return {"task": task} if isinstance(task, Mapping) and "name" in task else {}


def _bounds(task: Task, name: str) -> tuple[float, float]:
    """Of a number by the metric that ends its name: "best_test_accuracy" is an accuracy."""
    found = [metric for metric in task.metrics if name.endswith(metric.key)]
    return (found[0].low, found[0].high) if found else (-math.inf, math.inf)


def _answer_fault(task: Task, metrics: Mapping[str, Any]) -> str | None:
    headline, measured = f"test_{task.headline.key}", f"test_{task.metric.key}"
    shown, value = metrics.get(headline), metrics.get(measured)
    if shown is None:
        return f"it has no {headline}"
    if value is not None and abs(shown - task.headline_of(value)) > SAME:
        rest = task.headline.complement
        told = "are not the same" if rest is None else f"do not add up to {rest:g}"
        return f"{headline} {shown} and {measured} {value} {told}"
    return None


def _value_fault(value: Any, low: float, high: float) -> str | None:
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {value!r}, not a number"
    if not math.isfinite(value):
        return f"is {value}, not a finite number: the run diverged"
    if not low <= value <= high:
        return f"is {value}, outside [{low:g}, {high:g}]"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def without_nan(value: Any) -> Any:
    """JSON values with None for every number that is not finite, for which JSON has no word."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value
