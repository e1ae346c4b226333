"""The runs of a controlled comparison on graphs: each one setting with all its options and seeds.

A training takes seconds, so that one run does all trainings of a setting, one after the other.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import asdict
from typing import Any

from bench.config import ConfigError, identity
from bench.data.graphs.settings import GraphTask, GraphTasks
from bench.plan.comparison import Comparison, ComparisonSize, draw_settings
from bench.plan.planned import Plan
from methods.architecture import ArchitectureError, canonical_json
from methods.spaces.graphgym.counts import match_widths, params
from methods.spaces.graphgym.design import DIMENSIONS, Design

TASK = "task"
MOST_SETS = 20
"""Of anchors that are drawn until one has a common size."""
REDRAWN = 0.5
"""Share of the drawn settings whose networks may have no common size; beyond it the base width is too small."""


def compare_graphs(whole: Plan, label: str, asked: Comparison, tasks: GraphTasks) -> None:
    """Add a row's runs: one for each setting of its question, or for each task where it has anchors.

    Raises:
        ConfigError: no common size of the networks of most settings.
    """
    size = whole.profile.comparison
    if asked.anchors is not None:
        try:
            designs, by_task = _anchors(asked.anchors, label, tasks, size)
        except ArchitectureError as error:
            raise ConfigError(f"{whole.experiment.name}.rows.{label}: {error}") from None
        for task, of_task in zip(tasks.graphs, by_task, strict=True):
            _add(whole, label, asked, task, designs, of_task, {})
        return
    wanted, found, redrawn = asked.settings or size.settings, 0, 0
    others = {name: options for name, options in DIMENSIONS.items() if name != asked.dimension}
    values = asked.values or DIMENSIONS[asked.dimension]
    for setting in draw_settings({TASK: [task.name for task in tasks.graphs], **others}, _seed(label, asked.dimension)):
        task = tasks.named(setting.chosen[TASK])
        rest = {name: value for name, value in setting.chosen.items() if name != TASK}
        designs = [Design(**rest, **{asked.dimension: value}) for value in values]
        try:
            widths = _widths(designs, task, size)
        except ArchitectureError as error:
            redrawn += 1
            if redrawn > max(10, REDRAWN * wanted):
                raise ConfigError(f"{whole.experiment.name}.rows.{label}: {error}") from None
            continue
        more = {"dimension": asked.dimension, "values": list(values), "setting": setting.number, "redrawn": redrawn}
        _add(whole, label, asked, task, designs, widths, more)
        found += 1
        if found == wanted:
            return


def _widths(designs: list[Design], task: GraphTask, size: ComparisonSize) -> list[int]:
    return match_widths(designs, size.base_width, *task.sizes(), size.tolerance)


def _anchors(number: int, label: str, tasks: GraphTasks, size: ComparisonSize) -> tuple[list[Design], list[list[int]]]:
    """Designs drawn uniformly, the same for every task, and the widths that they have on each; drawn again where they
    have no common size on one.

    Raises:
        ArchitectureError: they never have.
    """
    source = random.Random(_seed(label, "anchors"))
    for attempt in range(MOST_SETS):
        designs = [
            Design(**{name: source.choice(options) for name, options in DIMENSIONS.items()}) for _ in range(number)
        ]
        try:
            return designs, [_widths(designs, task, size) for task in tasks.graphs]
        except ArchitectureError:
            if attempt == MOST_SETS - 1:
                raise
    raise AssertionError("unreachable")


def _seed(label: str, what: str) -> int:
    """Of the draws: the same in every experiment and profile that asks the same question under the same name."""
    return int.from_bytes(hashlib.sha256(canonical_json({"row": label, "of": what}).encode()).digest()[:8], "big")


def _add(
    whole: Plan,
    label: str,
    asked: Comparison,
    task: GraphTask,
    designs: list[Design],
    widths: list[int],
    question: dict[str, Any],
) -> None:
    size, sizes = whole.profile.comparison, task.sizes()
    networks = [
        {"design": asdict(design), "width": width, "params": params(design, width, *sizes)}
        for design, width in zip(designs, widths, strict=True)
    ]
    config = {
        "space": asked.space,
        "graphs": {**task.identity(), "size": identity(size.graphs)},
        "question": question,
        "networks": networks,
        "epochs_divided_by": size.epochs_divided_by,
        "seeds": list(whole.profile.retrain_seeds),
    }
    profile = whole.profile
    common = {
        "dataset": task.name,
        "precision": profile.precision,
        "deterministic": profile.deterministic,
        "threads": profile.threads,
    }
    more: dict[str, Any] = {"search_seed": None, "retrain_seed": None}
    info = whole.add(label, asked.space, "compare", config, common, **more)
    info.folder = task.root or None
