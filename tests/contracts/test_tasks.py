"""What every task keeps to, whatever networks are for; it is found by its file."""

from __future__ import annotations

from dataclasses import asdict, fields

import pytest
import torch
from torch import Tensor

from bench.data.names import DATASET_TASKS
from bench.plan.recipe import Recipe
from bench.plan.tasks import task_config
from methods.spaces import get_space, space_names
from methods.spaces.base import task_of_space
from methods.tasks import CLASSIFICATION, get_task, options_class, task_lines, task_names, task_of
from methods.tasks.base import Task
from reports.row_columns import columns_of
from reports.watched import of_loop

every_task = pytest.mark.parametrize("name", task_names())
INPUTS = torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(0))


def batch(task: Task) -> tuple[Tensor, Tensor]:
    """Outputs, and targets that are random, too."""
    torch.manual_seed(0)
    targets = task.imagined_targets(INPUTS, 12)
    return (torch.rand_like(targets) if targets.is_floating_point() else torch.randn(3, 12)), targets


@every_task
def test_a_task_has_a_line_options_and_metrics_of_its_own(name: str) -> None:
    task, options = get_task(name), options_class(name)()
    assert (task.name, bool(task_lines()[name])) == (name, True)
    assert (task.title == "") == (task == CLASSIFICATION)
    assert len({metric.key for metric in task.metrics}) == len(task.metrics)
    config = task_config({name: asdict(options)}, "task")
    assert task_of(config) == task
    assert bool(config) == (task != CLASSIFICATION)
    for value in (task.metric.low, 1.0, 2.5):
        assert task.headline_of(task.headline_of(value)) == value
    assert task.metric.score(2.0) < task.metric.score(1.0) or task.metric.higher_is_better


@every_task
def test_better_is_the_same_by_metric_and_by_headline(name: str) -> None:
    task = get_task(name)
    better, worse = (31.0, 30.0) if task.metric.higher_is_better else (30.0, 31.0)
    assert task.metric.gain(better, worse) == task.headline.gain(task.headline_of(better), task.headline_of(worse)) == 1
    assert task.metric.score(better) > task.metric.score(worse)


@every_task
def test_losses_and_sums_are_device_work_and_give_the_metrics(name: str) -> None:
    task = get_task(name)
    outputs, targets = batch(task)
    outputs.requires_grad_()
    loss = task.loss(outputs, targets)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert (loss.ndim, bool(gradient.isfinite().all())) == (0, True)
    found = task.sums(outputs.detach(), targets, loss.detach())
    assert {"loss_sum", "count"} <= set(found)
    assert all(value.ndim == 0 for value in found.values())
    values = task.values({key: float(value) for key, value in found.items()})
    assert {"loss", task.metric.key} <= set(values)
    measured = task.values({key: float(value) for key, value in task.evaluated(outputs.detach(), targets).items()})
    assert set(measured) == {"loss", task.metric.key, *(other.key for other in task.others)}
    for metric in (task.metric, *task.others):
        assert metric.low <= measured[metric.key] <= metric.high


@every_task
def test_sums_of_two_parts_are_those_of_the_whole(name: str) -> None:
    """Processes and batches add up, so that no metric is a mean of means."""
    task = get_task(name)
    outputs, targets = batch(task)
    parts = [task.evaluated(outputs[part], targets[part]) for part in (slice(0, 1), slice(1, 3))]
    added = {key: float(parts[0][key] + parts[1][key]) for key in parts[0]}
    whole = {key: float(value) for key, value in task.evaluated(outputs, targets).items()}
    assert task.values(added) == pytest.approx(task.values(whole), rel=1e-5)


@every_task
def test_the_untrained_line_answers_as_a_network_does(name: str) -> None:
    task = get_task(name)
    found = task.baseline()
    assert (found is None) == (task.baseline_name is None)
    if found is not None:
        assert found(INPUTS).shape == task.imagined_targets(INPUTS, 12).shape


@every_task
def test_recipes_data_spaces_and_reports_know_it(name: str) -> None:
    task, of_recipe = get_task(name), {field.name for field in fields(Recipe)}
    assert {*task.recipe_fields, *task.loss_terms} <= of_recipe
    assert set(task.loss_terms) <= set(task.recipe_fields)
    keys = [column.key for column in columns_of(task)]
    assert len(keys) == len(set(keys))
    assert f"test_{task.headline.key}" in keys
    assert f"valid/{task.metric.key}" in of_loop(task.metric).values


def test_data_sets_and_spaces_are_of_tasks_that_there_are() -> None:
    assert set(DATASET_TASKS.values()) <= set(task_names())
    assert {task_of_space(get_space(space)) for space in space_names()} <= set(task_names())
