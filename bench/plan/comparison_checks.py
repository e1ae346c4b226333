"""Everything that can be wrong in a controlled comparison, refused before anything runs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from bench.config import ConfigError, nearest, parse
from bench.data.graphs.settings import GraphTasks
from bench.data.images import DataError
from bench.plan.comparison import ROW, Comparison
from bench.plan.recipe import Recipe, load_recipe
from bench.plan.schema import Experiment, NetworkSize, Profile, Row
from methods.domain import shown
from methods.registry import get_method
from methods.spaces import get_space, space_names
from methods.spaces.base import ReadsGraphs
from methods.spaces.graphgym.design import DIMENSIONS


def check_comparison(experiment: Experiment, row: Row, where: str) -> None:
    """Raises ConfigError for a row that is none beside graphs, one with more than its question, or a wrong question."""
    asked = row.compare
    if asked is None:
        raise ConfigError(
            f"{where}: a row on graphs asks a question, {{compare: {{space: graphgym, dimension: ...}}}}; rows of "
            "methods need images"
        )
    plain = Row()
    said = [each.name for each in fields(Row) if getattr(row, each.name) != getattr(plain, each.name)]
    if beside := [name for name in said if name not in ("compare", "note")]:
        raise ConfigError(f"{where}: a comparison is of other rows; leave {', '.join(beside)} out")
    try:
        if isinstance(experiment.dataset, GraphTasks):
            for profile in experiment.profiles.values():
                _check_graph_comparison(asked, experiment.dataset, profile.precision)
        else:
            _check_image_comparison(experiment, asked)
    except (ValueError, DataError) as error:
        raise ConfigError(f"{where}.compare: {error}") from None


def _check_graph_comparison(asked: Comparison, tasks: GraphTasks, precision: str) -> None:
    """Raises ConfigError for what a comparison on graphs cannot have, or a task without labels."""
    if asked.space not in space_names() or not isinstance(get_space(asked.space), ReadsGraphs):
        raise ConfigError(f"space is {shown(asked.space)}; name one whose networks read graphs: space: graphgym")
    if asked.rows or asked.vary or asked.match_params:
        raise ConfigError("on graphs a setting draws a task and all else; leave rows, vary and match_params out")
    if precision != "fp32":
        raise ConfigError(f"networks of graphs are trained in fp32, not in {precision}")
    for task in tasks.graphs:
        task.sizes()
    if asked.anchors is not None:
        return
    if asked.dimension not in DIMENSIONS:
        raise ConfigError(f"unknown dimension {shown(asked.dimension)}" + nearest(asked.dimension, DIMENSIONS))
    for value in asked.values:
        if value not in DIMENSIONS[asked.dimension]:
            raise ConfigError(
                f"{shown(value)} is no option of {asked.dimension}" + nearest(value, DIMENSIONS[asked.dimension])
            )


def _check_image_comparison(experiment: Experiment, asked: Comparison) -> None:
    """Raises ConfigError for what a comparison on images cannot have."""
    if asked.space or asked.anchors is not None:
        raise ConfigError("space and anchors are of comparisons on graphs; name a dimension, values and rows")
    if not asked.values:
        raise ConfigError(f"values is missing: which options of {asked.dimension} are to be compared")
    if (asked.dimension == ROW) == bool(asked.rows):
        raise ConfigError("name the rows that a setting draws from under 'rows', or, of the dimension row, as 'values'")
    named = [str(name) for name in (asked.values if asked.dimension == ROW else asked.rows)]
    for name in named:
        if name not in experiment.rows:
            raise ConfigError(f"unknown row {shown(name)}" + nearest(name, experiment.rows))
        row = experiment.rows[name]
        if row.compare is not None or row.of is not None or row.transfer is not None or row.weights == "inherited":
            raise ConfigError(f"row '{name}' is not trained from what it finds itself; name rows of searches, or given")
        if asked.match_params and row.method is not None:
            raise ConfigError(f"the size of row '{name}' is not known before its search; match_params needs given rows")
    for name, options in {asked.dimension: asked.values, **asked.vary}.items():
        if name != ROW:
            for profile in experiment.profiles.values():
                for value in options:
                    _check_option(experiment, profile, named, name, value)


def _check_option(experiment: Experiment, profile: Profile, rows: list[str], name: str, value: Any) -> None:
    room, _, field = name.partition(".")
    if room == "recipe" and field in {each.name for each in fields(Recipe)} - {"name", "source"}:
        for recipe in {experiment.rows[row].recipe or profile.recipe for row in rows}:
            load_recipe(recipe, {**profile.recipe_changes, field: value})
    elif room == "network" and field in ("channels", "cells"):
        parse(NetworkSize, {field: value}, "network")
    elif room == "options" and field:
        for row in rows:
            method = experiment.rows[row].method
            if method is None:
                raise ConfigError(f"row '{row}' has a given architecture and no options; leave {name} out")
            parse(get_method(method).Options, {field: value}, name)
    else:
        known = [f"recipe.{each.name}" for each in fields(Recipe) if each.name not in ("name", "source")]
        known += ["network.channels", "network.cells", "options.FIELD", ROW]
        raise ConfigError(f"unknown dimension {shown(name)}" + nearest(name, known))
