"""The search phase: from a method and the search's own view of the data to an architecture."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bench.config import restore
from bench.data.batches import Batches
from bench.data.seal import sealed
from bench.data.search_protocol import search_protocol
from bench.data.splits import SearchData, search_data
from bench.plan.recipe import Recipe
from bench.records.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.records.directory import RunDirectory, make_folder, save_architecture
from bench.run.loop import Loop
from bench.run.phases.task import RunError, Task, settings_for, with_provenance
from bench.run.search import SamplingState, Scored, gradient_search, sampling_search
from bench.run.train import train
from bench.seeds import derive, seed_everything
from methods.architecture import Architecture
from methods.base import GradientSearch, SamplingSearch, SearchSplit
from methods.registry import get_method
from methods.spaces import build


@dataclass
class Found:
    """What a search of either kind gives; `report` is for people."""

    architecture: Architecture
    costs: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0
    family: list[Architecture] = field(default_factory=list)


@sealed("the search of a method")
def run_search(task: Task) -> dict[str, Any]:
    """Search, write architecture.json, return the result."""
    cls = get_method(task.info.method)
    options: Any = restore(cls.Options, task.config["options"], "options")
    seed = task.seed("search", task.info.search_seed)
    seed_everything(seed)
    method = cls(options, task.context())  # type: ignore[call-arg]
    if isinstance(method, GradientSearch):
        found = run_gradient_search(task, method, seed)
    elif isinstance(method, SamplingSearch):
        found = run_sampling_search(task, method)
    else:
        raise RunError(f"{task.info.method} is a transform; it cannot search")
    if task.engine.group.rank:
        return {}  # the first process writes
    for number, member in enumerate(found.family):
        folder = task.directory.path / "family" / f"{number:02d}"
        save_architecture(with_provenance(task, member, method.provenance()), folder)
    architecture = with_provenance(task, found.architecture, method.provenance())
    save_architecture(architecture, task.directory.path)
    return {
        "metrics": found.metrics,
        "costs": found.costs,
        "architecture": architecture.digest,
        "family": [member.digest for member in found.family],
        "epochs": found.epochs,
        "report": {"family": len(found.family)},
    }


def run_gradient_search(task: Task, method: GradientSearch, seed: int) -> Found:
    """Train the supernet to its end."""
    architecture, loop = gradient_search(
        method, *search_batches(task, method, seed), task.engine, partial(task.make_loop, seed)
    )
    last = loop.epoch_values[-1] if loop.epoch else {}
    metrics = {
        f"{part}_{name}": last.get(f"{part}/{name}") for part in ("train", "valid") for name in ("loss", "accuracy")
    }
    costs = {
        "params": sum(p.numel() for p in method.supernet.parameters()),
        "peak_memory": loop.peak_memory,
        "wall_s": loop.wall_seconds,
        "device_s": loop.device_seconds,
        "images": loop.images,
    }
    return Found(architecture, costs, metrics, loop.epoch, method.family())


def divided(task: Task, split: SearchSplit, seed: int) -> SearchData:
    """The search's own view of the data: there is no way from here to the test set."""
    return search_data(task.data, split, seed, task.config["data"]["train_images"], search_protocol(task.config))


def search_batches(task: Task, method: GradientSearch, seed: int) -> tuple[Batches, Batches | None, Batches | None]:
    """The batches of search-train, of search-valid beside them, and search-valid in order."""
    data, protocol = divided(task, method.split, seed), search_protocol(task.config)
    augmentation = protocol.augmentation or method.augmentation
    make = partial(task.batches, batch_size=method.batch_size, augmentation=augmentation, seed=seed)
    valid = make(data.valid, stream="search-valid", fresh=protocol.fresh) if method.split.paired else None
    validation = task.evaluation(data.valid) if len(data.valid) else None
    return make(data.train, stream="search-train"), valid, validation


def run_sampling_search(task: Task, method: SamplingSearch) -> Found:
    """Run a sampling search; proposals are scored by a training on search-train with the experiment's recipe."""
    data = divided(task, SearchSplit(), task.seed("search", task.info.search_seed))
    recipe = restore(Recipe, task.config["recipe"], "recipe")
    state, seed = SamplingState(), task.seed("proxy", task.info.search_seed)
    folder = task.directory.checkpoints
    found = load_newest_checkpoint(folder, task.info.signature)
    if found:
        state.load_state_dict(found["state"])
        state.scored = [with_known_cost(task, number, each) for number, each in enumerate(state.scored)]

    def score(number: int, proposal: Architecture) -> Scored:
        began, directory = time.monotonic(), proxy_directory(task, number)
        make_folder(directory.path)
        seed_everything(derive(seed=seed, use="weights"))
        network = build(proposal, data.info.num_classes, settings_for(task, recipe))

        def make_loop(parts: dict[str, Any]) -> Loop:
            return Loop(directory, proxy_signature(task, number), seed, task.engine, parts, task.stop)

        values, loop = train(
            network,
            recipe,
            task.batches(data.train, recipe.batch_size, recipe.augmentation, seed),
            task.evaluation(data.valid),
            task.engine,
            make_loop,
            num_classes=data.info.num_classes,
            evaluate_every=recipe.epochs,
        )
        seconds = time.monotonic() - began + loop.earlier_seconds
        return Scored(values["test/accuracy"], loop.images, seconds, loop.peak_memory)

    def keep(number: int) -> None:
        save_checkpoint(folder, number, 0, task.info.signature, state.state_dict())

    return Found(sampling_search(method, score, state, keep), state.costs)


def proxy_directory(task: Task, number: int) -> RunDirectory:
    """Where the short training of the n-th proposal keeps its metrics and checkpoints."""
    return RunDirectory(task.directory.path / "proxies" / f"{number:03d}", task.directory.may_write)


def proxy_signature(task: Task, number: int) -> str:
    return f"{task.info.signature}-{number}"


def with_known_cost(task: Task, number: int, scored: Scored) -> Scored:
    """For a search that an earlier version began, which did not count costs: they stand in the proxy's checkpoint."""
    if scored.images is not None:
        return scored
    found = load_newest_checkpoint(proxy_directory(task, number).checkpoints, proxy_signature(task, number))
    if found is None:
        return scored
    state = found["state"]
    return replace(scored, images=state["images"], seconds=state["seconds"], peak_memory=state["peak"])
