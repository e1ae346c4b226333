"""What an experiment says of its task, and what of data, rows and recipes has to fit it.

    task: super_resolution
    task: {super_resolution: {scale: 4}}

Without it networks are classifiers, and no configuration says so: runs from before there were others keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bench.config import ConfigError, nearest, parse
from bench.data.folder_settings import FolderSettings
from bench.data.graphs.settings import GraphTasks
from bench.data.names import DATASET_TASKS
from bench.plan.recipe import Recipe
from bench.plan.schema import Experiment, Profile, Row
from bench.plan.scoring import space_of
from methods.architecture import ArchitectureError
from methods.domain import MethodError, shown
from methods.spaces import get_space, space_names
from methods.spaces.base import task_of_space
from methods.tasks import CLASSIFICATION, described, get_task, options_class, task_names
from methods.tasks.base import Task

Said = str | Mapping[str, Mapping[str, Any]]


def task_config(said: Said, where: str) -> dict[str, Any]:
    """What of a task stands in the configuration of every run: `{"task": {...}}`, nothing for classification.

    Raises:
        ConfigError: an unknown task, several, an option that it does not have, or one that does not say by what its
            networks are compared.
    """
    name, options = _parts(said, where)
    if name not in task_names():
        raise ConfigError(f"{where}: unknown task {shown(name)}" + nearest(name, task_names()))
    made: Any = parse(options_class(name), options, f"{where}.{name}")
    try:
        config = described(name, made)
        get_task(name, options)
    except MethodError as error:
        raise ConfigError(f"{where}: {error}") from None
    return {} if config is None else {"task": config}


def _parts(said: Said, where: str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(said, str):
        return said, {}
    if len(said) != 1:
        raise ConfigError(f"{where}: a task is one name with its options, {{super_resolution: {{scale: 4}}}}; found "
                          f"{shown(list(said))}")  # fmt: skip
    return next(iter(said.items()))


def name_of(said: Any) -> str:
    """Of a task as an experiment file says it; what it is not is told where it is read."""
    return str(said if not isinstance(said, Mapping) else next(iter(said), ""))


def task_of_experiment(experiment: Experiment) -> Task:
    """Raises ConfigError as `task_config`."""
    where = f"{experiment.name}.task"
    task_config(experiment.task, where)
    return get_task(*_parts(experiment.task, where))


def check_task(experiment: Experiment) -> None:
    """Raises ConfigError for a task that cannot be, one of other data, or with what only classifiers have."""
    where, name = f"{experiment.name}.task", task_of_experiment(experiment).name
    data = experiment.dataset
    there = CLASSIFICATION.name if isinstance(data, GraphTasks) else name
    if not isinstance(data, FolderSettings | GraphTasks):
        there = DATASET_TASKS[data]
    if there != name:
        fitting = [each for each, task in DATASET_TASKS.items() if task == name]
        raise ConfigError(
            f"{where}: data set '{experiment.dataset_name}' is of the task {there}, not of {name}; name one of: "
            f"{', '.join(fitting) or 'none is there'}"
        )
    if name != CLASSIFICATION.name and experiment.lookup is not None:
        raise ConfigError(f"{where}: tables of trained networks are of classifiers; leave 'lookup' out")


def check_row_task(task: Task, profile: Profile, label: str, row: Row, where: str) -> None:
    """Raises ConfigError for a row whose networks are for another task."""
    try:
        space = space_of(profile, label, row)
    except ArchitectureError:
        return  # a file that cannot be read is refused where its run is planned
    if space not in space_names() or (there := task_of_space(get_space(space))) == task.name:
        return
    fitting = [each for each in space_names() if task_of_space(get_space(each)) == task.name]
    raise ConfigError(
        f"{where}: networks of {space} are for {there}, and the task is {task.name}; name a method or an architecture "
        f"of {' or '.join(fitting) or 'a space that is for it; there is none'}"
    )


def check_recipe_task(task: Task, recipe: Recipe) -> None:
    """Raises ConfigError for what a recipe sets that the task does not have."""
    of_others = {field for name in task_names() for field in get_task(name).recipe_fields} - set(task.recipe_fields)
    plain = {each.name: each.default for each in fields(Recipe)}
    wrong = sorted(name for name in of_others if getattr(recipe, name) != plain[name])
    if wrong:
        raise ConfigError(
            f"recipe {recipe.name}: the task {task.name} has no {' and no '.join(wrong)}; leave it at "
            f"{plain[wrong[0]]}, in the profile's recipe_changes or by another recipe"
        )
