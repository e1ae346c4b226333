"""The search phase: from a method and the search's own view of the data to an architecture."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from bench.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.config import restore
from bench.data.batches import Batches
from bench.data.splits import search_data
from bench.loop import Loop
from bench.phases.task import RunError, Task, settings_for, with_provenance
from bench.recipe import Recipe
from bench.records import RunDirectory
from bench.search import SamplingState, gradient_search, sampling_search
from bench.seeds import derive, seed_everything
from bench.train import train
from methods.architecture import Architecture
from methods.base import GradientSearch, SamplingSearch, SearchSplit
from methods.registry import get_method
from methods.spaces import build


def run_search(task: Task) -> dict[str, Any]:
    """Search, write architecture.json, return the result."""
    cls = get_method(task.info.method)
    options: Any = restore(cls.Options, task.config["options"], "options")
    seed = task.seed("search", task.info.search_seed)
    seed_everything(seed)
    costs: dict[str, Any]
    method = cls(options, task.context())  # type: ignore[call-arg]
    if isinstance(method, GradientSearch):
        architecture, loop = gradient_search(
            method, *search_batches(task, method, seed), task.engine, partial(task.make_loop, seed)
        )
        if task.engine.group.rank:
            return {}  # the first process writes
        last = loop.directory.read_metrics()[-1]["values"] if loop.epoch else {}
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
        epochs = loop.epoch
    elif isinstance(method, SamplingSearch):
        started = time.monotonic()
        architecture, spent = sample_and_score(task, method)
        metrics, epochs = {}, 0
        seconds = time.monotonic() - started if method.samples > 1 else 0.0
        costs = {
            "peak_memory": task.engine.peak_memory() if spent else None,
            "wall_s": seconds,
            "device_s": seconds,
            "images": spent,
        }
    else:
        raise RunError(f"{task.info.method} is a transform; it cannot search")
    family = method.family() if isinstance(method, GradientSearch) else []
    for number, member in enumerate(family):
        with_provenance(task, member, method.provenance()).save(task.directory.path / "family" / f"{number:02d}")
    architecture = with_provenance(task, architecture, method.provenance())
    architecture.save(task.directory.path)
    return {
        "metrics": metrics,
        "costs": costs,
        "architecture": architecture.digest,
        "epochs": epochs,
        "report": {"family": len(family)},
    }


def search_batches(task: Task, method: GradientSearch, seed: int) -> tuple[Batches, Batches | None, Batches | None]:
    """The search's own view of the data: there is no way from here to the test set."""
    data = search_data(task.data, method.split, seed, task.config["data"]["train_images"])
    make = partial(task.batches, batch_size=method.batch_size, augmentation=method.augmentation, seed=seed)
    valid = make(data.valid, stream="search-valid") if method.split.paired else None
    validation = task.evaluation(data.valid) if len(data.valid) else None
    return make(data.train, stream="search-train"), valid, validation


def sample_and_score(task: Task, method: SamplingSearch) -> tuple[Architecture, int]:
    """Run a sampling search; proposals are scored by a training on search-train with the experiment's recipe."""
    data = search_data(
        task.data, SearchSplit(), task.seed("search", task.info.search_seed), task.config["data"]["train_images"]
    )
    recipe = restore(Recipe, task.config["recipe"], "recipe")
    state, seed, spent = SamplingState(), task.seed("proxy", task.info.search_seed), 0
    folder = task.directory.checkpoints
    found = load_newest_checkpoint(folder, task.info.signature)
    if found:
        state.load_state_dict(found["state"])

    def score(number: int, proposal: Architecture) -> float:
        nonlocal spent
        directory = RunDirectory(task.directory.path / "proxies" / f"{number:03d}")
        directory.path.mkdir(parents=True, exist_ok=True)
        seed_everything(derive(seed=seed, use="weights"))
        network = build(proposal, data.info.num_classes, settings_for(task, recipe))
        batches = task.batches(data.train, recipe.batch_size, recipe.augmentation, seed)
        signature = f"{task.info.signature}-{number}"

        def make_loop(parts: dict[str, Any]) -> Loop:
            return Loop(directory, signature, seed, task.engine, parts, task.stop)

        values, loop = train(
            network,
            recipe,
            batches,
            task.evaluation(data.valid),
            task.engine,
            make_loop,
            num_classes=data.info.num_classes,
            evaluate_every=recipe.epochs,
        )
        spent += loop.images
        save_checkpoint(folder, number, 0, task.info.signature, {"scores": [*state.scores, values["test/accuracy"]]})
        return values["test/accuracy"]

    return sampling_search(method, score, state), spent
