"""When a record is believed: its configuration is the one its signature names, its result is one a run can have."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from methods.architecture import canonical_json

_PERCENT = ("error", "accuracy")
ANSWERS = ("train", "inherit", "lookup")
"""Phases that end in a test error."""
MEASURED = ("collect", "fit")
SAME = 1e-6
"""Largest difference in percent between 100 and accuracy plus error."""


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

    Every metric and cost is a finite number of its domain, a text, or missing: percentages in [0, 100], costs not
    negative. A training, an evaluation of inherited weights and a look-up have a test error, all but those that measure
    latencies an architecture.
    """
    for part in ("metrics", "costs"):
        if not isinstance(result.get(part), Mapping):
            return f"it has no {part}"
        for name, value in result[part].items():
            fault = _value_fault(name, value, 0.0 if part == "costs" else -math.inf)
            if fault is not None:
                return f"{part}.{name} {fault}"
    if result.get("phase", phase) != phase:
        return f"it is of a run of phase '{result['phase']}', not '{phase}'"
    if "epochs" in result and not _is_count(result["epochs"]):
        return f"epochs is {result['epochs']!r}"
    if phase in ANSWERS:
        return _answer_fault(result["metrics"])
    if phase not in MEASURED and not isinstance(result.get("architecture"), str):
        return "it names no architecture"
    return None


def _answer_fault(metrics: Mapping[str, Any]) -> str | None:
    error, accuracy = metrics.get("test_error"), metrics.get("test_accuracy")
    if error is None:
        return "it has no test_error"
    if accuracy is not None and abs(error + accuracy - 100.0) > SAME:
        return f"test_error {error} and test_accuracy {accuracy} do not add up to 100"
    return None


def _value_fault(name: str, value: Any, least: float) -> str | None:
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {value!r}, not a number"
    if not math.isfinite(value):
        return f"is {value}, not a finite number: the run diverged"
    low, high = (0.0, 100.0) if name.endswith(_PERCENT) else (least, math.inf)
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
