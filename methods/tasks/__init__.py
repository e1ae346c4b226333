"""Tasks, each a file of this folder (`methods.tasks.base` says what one is); classification is the usual one."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from methods.domain import MethodError
from methods.tasks.base import Metric, Task, require_metric
from methods.tasks.classification import Classification

__all__ = ["CLASSIFICATION", "Metric", "Task", "get_task", "options_class", "task_lines", "task_names", "task_of"]

CLASSIFICATION = Classification()
_OTHERS = ("__init__", "base")


@cache
def task_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _OTHERS))


def task_lines() -> dict[str, str]:
    """Each with the first line of its file."""
    files = {name: (Path(__file__).parent / f"{name}.py").read_text() for name in task_names()}
    return {name: (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0] for name, text in files.items()}


def options_class(name: str) -> type:
    """The dataclass of a task's options. Raises MethodError for an unknown one."""
    if name not in task_names():
        near = difflib.get_close_matches(name, task_names(), n=1)
        hint = f"; did you mean '{near[0]}'? Known" if near else "; known"
        raise MethodError(f"unknown task '{name}'{hint}: {', '.join(task_names())}")
    found: type = import_module(f"methods.tasks.{name}").Options
    return found


def get_task(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """A task by its name.

    Raises:
        MethodError: an unknown one, an option that it does not have, or one that does not say by what networks are
            compared.
    """
    cls = options_class(name)
    try:
        made = cls(**(options or {}))
    except TypeError as error:
        raise MethodError(f"task '{name}': {error}") from None
    return require_metric(import_module(f"methods.tasks.{name}").make(made))


def task_of(config: Mapping[str, Any]) -> Task:
    """The task of a run, by its configuration: one that names none is classification. Raises as `get_task`."""
    said = config.get("task")
    if said is None:
        return CLASSIFICATION
    return get_task(str(said["name"]), {key: value for key, value in said.items() if key != "name"})


def described(name: str, options: Any) -> dict[str, Any] | None:
    """What stands in a configuration for a task; None for classification, whose runs say nothing of it."""
    return None if name == CLASSIFICATION.name else {"name": name, **asdict(options)}
