"""How long one run takes here: a few of its steps, and of what it does beside them, are timed on random images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from bench.config import restore
from bench.data.augment import get_augmentation
from bench.data.datasets import DatasetInfo
from bench.data.search_protocol import search_protocol
from bench.device.engine import Engine
from bench.plan.recipe import Recipe
from bench.plan.stand_ins import searched_space
from bench.records.directory import RunInfo
from bench.run.phases.lookup import seconds_of_lookup
from bench.run.phases.start import imagined_start
from bench.run.published_images import test_images
from bench.run.step_time import Allowance, seconds_per_step
from bench.run.train import training_loss
from methods.architecture import Architecture
from methods.base import GradientSearch, SamplingSearch, SearchContext, SearchSplit, SharedWeights
from methods.registry import get_method
from methods.spaces import NetworkSettings, build, get_space
from methods.tasks import Task, task_of


@dataclass(frozen=True)
class Images:
    """Attributes:
    info: what they are.
    train: how many there are to train on, before a profile takes some of them.
    """

    info: DatasetInfo
    train: int


@dataclass(frozen=True)
class Unmade:
    """A run to be timed, and what stands for what it needs and is not there yet.

    Attributes:
        network: that a training is of.
        source: the run whose latencies are fitted, or on whose weights networks are evaluated; None where that is not
            planned.
    """

    info: RunInfo
    network: Architecture | None
    source: RunInfo | None


def seconds_of(unmade: Unmade, images: Images | None, engine: Engine, allowance: Allowance | None = None) -> float:
    """Of one run from its start to its end; an upper bound where a method may stop early.

    Args:
        images: None where no run needs any.
        allowance: of time for its steps, which is also told what was timed; None for all they take.
    """
    allowance = allowance or Allowance()
    run, network = unmade.info, unmade.network
    if run.phase == "lookup":
        return seconds_of_lookup(run)
    if run.phase == "compare":
        from bench.run.phases.compare import seconds_of_comparing  # no other run reads graphs

        return seconds_of_comparing(run, engine.device)
    if run.origin:
        return 0.0
    if run.phase == "fit":
        return _seconds_of_fit(unmade.source)
    assert images is not None
    if run.phase == "collect":
        from bench.run.phases.collect import seconds_of_collecting  # no other run measures latencies

        return seconds_of_collecting(run, images.info)
    if run.phase == "search":
        return _seconds_of_search(run, network, images, engine, allowance)
    if run.phase == "score":
        return _seconds_of_proposals(run, images, engine, allowance)
    if run.phase == "inherit":
        return _seconds_of_inherit(run, unmade.source, images, engine)
    if run.phase != "train" or network is None:
        return 1.0
    return _seconds_of_training(run, network, images.info, train_images(run, images), engine, allowance)


def train_images(run: RunInfo, images: Images) -> int:
    """That the profile takes; of photographs, patches."""
    return (run.config["data"]["train_images"] or images.train) * images.info.examples


def _seconds_of_fit(measured: RunInfo | None) -> float:
    """A second where what is fitted to is there already: no run says how much that is."""
    if measured is None:
        return 1.0
    from bench.run.phases.fit import seconds_of_fitting  # no other run fits latencies

    return seconds_of_fitting(measured.config["space"], measured.config["latency"]["measurements"])


def _seconds_of_search(
    run: RunInfo, network: Architecture | None, images: Images, engine: Engine, allowance: Allowance
) -> float:
    """Its steps, and of one with shared weights the scores after them; or the trainings of what is proposed."""
    cls = get_method(run.method)
    if issubclass(cls, SamplingSearch):
        return _seconds_of_proposals(run, images, engine, allowance)
    start = imagined_start(run, network, images.info.outputs, images.info.channels)
    method: Any = made(run, images, start=start)
    assert isinstance(method, GradientSearch)
    method.to(engine.device)
    method.enter_longest_step()
    split = search_protocol(run.config).split(method.split)
    train, valid = (round(train_images(run, images) * share) for share in (split.train, split.valid))

    def step_on(count: int) -> Callable[[], object]:
        batch = _fake_batch(count, _patched(run, images.info, method.augmentation), engine, task_of(run.config))
        return partial(method.step, batch, batch if method.split.paired else None)

    step = seconds_per_step(step_on, method.batch_size, engine, method.supernet, allowance)
    steps = method.epochs * max(1, round(train / method.batch_size)) * step
    if not isinstance(method, SharedWeights):
        return steps
    from bench.run.imagined_scores import seconds_of_choosing  # no other search has scores after its last epoch

    return steps + seconds_of_choosing(method, engine, train, valid)


def made(run: RunInfo, images: Images, **more: Any) -> Any:
    """The method of a search."""
    cls, info = get_method(run.method), images.info
    stem = run.config.get("stem", "cifar")
    context = SearchContext(info.outputs, info.channels, info.image_size, stem, task=task_of(run.config), **more)
    return cls(restore(cls.Options, run.config["options"], "options"), context)  # type: ignore[call-arg]


def _seconds_of_proposals(run: RunInfo, images: Images, engine: Engine, allowance: Allowance) -> float:
    """Of short trainings on the search's part of the images, or what the evaluator says; nothing where it is silent."""
    samples, parts = run.config["options"].get("samples", 1), search_protocol(run.config).split(SearchSplit())
    if samples < 2:
        return 0.0
    train, valid = (round(train_images(run, images) * share) for share in (parts.train, parts.valid))
    if "recipe" in run.config:
        if run.config.get("at_once", 1) > 1:  # each is a run of its own, and the search has nothing left to train
            samples = 1 if run.phase == "score" else 0
        network = get_space(searched_space(run)).reference()
        return samples * _seconds_of_training(run, network, images.info, train, engine, allowance)
    evaluator = import_module(f"bench.run.evaluators.{run.config['evaluator']['name']}")
    seconds: Any = getattr(evaluator, "seconds", None)
    return 0.0 if seconds is None else seconds(run, samples, images.info, (train, valid), engine)


def _seconds_of_inherit(run: RunInfo, source: RunInfo | None, images: Images, engine: Engine) -> float:
    """A second where the plan does not have the search."""
    if source is None:
        return 1.0
    from bench.run.imagined_scores import seconds_of_inheriting  # no other run evaluates networks on shared weights

    method = made(source, images)
    method.to(engine.device)
    split = search_protocol(source.config).split(method.split)
    train, test = round(train_images(source, images) * split.train), test_images(run, images.train)
    return seconds_of_inheriting(method, engine, train, test, alone=run.config["architecture"]["select"] is not None)


def _seconds_of_training(
    run: RunInfo, architecture: Architecture, info: DatasetInfo, images: int, engine: Engine, allowance: Allowance
) -> float:
    recipe, task = restore(Recipe, run.config["recipe"], "recipe"), task_of(run.config)
    auxiliary = recipe.auxiliary_weight > 0
    settings = NetworkSettings(**run.config["network"], auxiliary=auxiliary, in_channels=info.channels)
    network = build(architecture, info.outputs, settings).to(engine.device)
    network.to(memory_format=engine.memory_format)

    def step_on(count: int) -> Callable[[], object]:
        return partial(step, *_fake_batch(count, _patched(run, info, recipe.augmentation), engine, task))

    def step(inputs: Tensor, targets: Tensor) -> None:
        network.zero_grad()
        _, loss = training_loss(network(inputs), targets, recipe, task)
        loss.backward()

    seconds = seconds_per_step(step_on, recipe.batch_size, engine, network, allowance)
    return recipe.epochs * max(1, round(images / recipe.batch_size)) * seconds


def _patched(run: RunInfo, info: DatasetInfo, augmentation: str) -> DatasetInfo:
    """A data set with the images that a network reads in training: where patches are cut out of them, as large."""
    side = get_augmentation(augmentation, info).patch
    return replace(info, image_size=task_of(run.config).input_side(side)) if side else info


def _fake_batch(size: int, info: DatasetInfo, engine: Engine, task: Task) -> tuple[Tensor, Tensor]:
    images = torch.randn(size, info.channels, info.image_size, info.image_size, device=engine.device)
    return images, task.imagined_targets(images, info.outputs)
