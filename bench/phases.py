"""The three phases of a run: search finds an architecture, transform makes a trained one smaller, train trains it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import cost
from bench.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.config import parse
from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.datasets import ImageData, LabelledImages
from bench.data.splits import FinalEvaluation, search_data, train_data
from bench.engine import Engine
from bench.loop import Loop, StopFlag
from bench.recipe import Recipe
from bench.records import Record, RunDirectory, RunInfo
from bench.search import SamplingState, gradient_search, sampling_search
from bench.seeds import derive, seed_everything
from bench.train import train
from bench.weights import WEIGHTS_NAME, load_weights, save_weights
from methods.architecture import Architecture
from methods.base import GradientSearch, SamplingSearch, SearchContext, SearchSplit, Transform
from methods.genotypes import published
from methods.registry import get_method
from methods.spaces import NetworkSettings, build

EVALUATION_BATCH = {"cpu": 128, "cuda": 256}
"""Images at once, by device; on a CPU so few that evaluating a supernet takes no more memory than a step."""


class RunError(RuntimeError):
    """A run that cannot be done as it was asked for."""


@dataclass
class Task:
    """Everything a phase needs at hand."""

    directory: RunDirectory
    info: RunInfo
    engine: Engine
    data: ImageData
    stop: StopFlag

    @property
    def config(self) -> dict[str, Any]:
        return self.info.config

    @property
    def image_shape(self) -> tuple[int, int, int]:
        info = self.data.info
        return info.channels, info.image_size, info.image_size

    def seed(self, use: str, repetition: int | None) -> int:
        """A seed for one use; it depends on the data set and the repetition, not on the method: seeds are paired."""
        return derive(dataset=self.info.dataset, use=use, repetition=repetition)

    def make_loop(self, seed: int, parts: dict[str, Any]) -> Loop:
        return Loop(self.directory, self.info.signature, seed, self.engine, parts, self.stop)

    def context(self) -> SearchContext:
        info = self.data.info
        stem = self.config.get("stem", "cifar")
        seed = self.seed("method", self.info.search_seed)
        return SearchContext(info.num_classes, self.image_shape[0], self.image_shape[-1], stem, seed)

    def batches(
        self, images: LabelledImages, batch_size: int, augmentation: str, seed: int, stream: str = "train"
    ) -> Batches:
        """Shuffled, augmented batches on the device."""
        chosen = get_augmentation(augmentation, self.data.info)
        device, group = self.engine.device, self.engine.group
        if not group.alone:
            group.check_shares(batch_size, len(images.labels))
        return Batches(
            images.images,
            images.labels,
            batch_size,
            chosen,
            seed,
            device,
            stream=stream,
            rank=group.rank,
            world_size=group.size,
        )

    def evaluation(self, images: LabelledImages) -> Batches:
        """Batches in stored order, not augmented."""
        plain = get_augmentation("none", self.data.info)
        return evaluation_batches(
            images.images,
            images.labels,
            EVALUATION_BATCH[self.engine.device.type],
            plain,
            self.engine.device,
            rank=self.engine.group.rank,
            world_size=self.engine.group.size,
        )

    def needed(self, signature: str) -> Record:
        """A finished run this one reads.

        Raises:
            RunError: it is not there or not done.
        """
        for path in self.directory.path.parent.glob(f"*-{signature[:10]}"):
            directory = RunDirectory(path)
            info, result = directory.read_info(), directory.read_result()
            if info.signature == signature and result is not None:
                return Record(path, info, result)
        raise RunError(f"{self.info.name} needs run {signature}, which is not done; run the experiment to make it")


# -- search


def run_search(task: Task) -> dict[str, Any]:
    """Search, write architecture.json, return the result."""
    cls = get_method(task.info.method)
    options: Any = parse(cls.Options, task.config["options"], "options")
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
    recipe = parse(Recipe, task.config["recipe"], "recipe")
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


def with_provenance(task: Task, architecture: Architecture, more: dict[str, Any]) -> Architecture:
    """The architecture with who found it and how added to its provenance."""
    info = task.info
    provenance = {
        **architecture.provenance,
        **more,
        "experiment": info.experiment,
        "profile": info.profile,
        "dataset": info.dataset,
        "search_seed": info.search_seed,
        "run": info.name,
    }
    return Architecture(
        architecture.space,
        architecture.genotype,
        architecture.scale,
        architecture.widths,
        architecture.masks,
        provenance,
    )


# -- transform


def run_transform(task: Task) -> dict[str, Any]:
    """Make a trained network smaller; write the architecture and the inherited weights."""
    started = time.monotonic()
    source = task.needed(task.config["source"])
    cls = get_method(task.info.method)
    method = cls(parse(cls.Options, task.config["options"], "options"), task.context())  # type: ignore[call-arg]
    if not isinstance(method, Transform):
        raise RunError(f"{task.info.method} is not a transform")
    architecture = Architecture.load(source.path)
    settings = NetworkSettings(**source.info.config["network"], in_channels=task.image_shape[0])
    network = build(architecture, task.data.info.num_classes, settings)
    load_weights(network, source.path / WEIGHTS_NAME)
    match = task.config["match"]
    if match is not None:
        result = task.needed(match["run"]).result
        assert result is not None
        match = {"on": match["on"], "value": result["costs"][match["on"]]}
    transformed = method.apply(architecture, network.to(task.engine.device).eval(), match)
    smaller = with_provenance(task, transformed.architecture, method.provenance())
    smaller.save(task.directory.path)
    save_weights(transformed.weights, task.directory.path / WEIGHTS_NAME)
    seconds = time.monotonic() - started
    costs = {"peak_memory": task.engine.peak_memory(), "wall_s": seconds, "device_s": seconds, "images": 0}
    return {
        "metrics": {},
        "costs": costs,
        "architecture": smaller.digest,
        "epochs": 0,
        "report": dict(transformed.report),
    }


# -- train


def run_train(task: Task) -> dict[str, Any]:
    """Train the architecture with the recipe, evaluate on the test set, count, write weights and result."""
    config = task.config
    recipe = parse(Recipe, config["recipe"], "recipe")
    architecture, report = chosen_architecture(task)
    if task.engine.group.rank == 0:
        architecture.save(task.directory.path)
    seed = task.seed("retrain", task.info.retrain_seed)
    seed_everything(derive(seed=seed, use="weights"))
    network = build(architecture, task.data.info.num_classes, settings_for(task, recipe))
    if config["inheritance"] == "finetune":
        load_weights(network, task.needed(config["architecture"]["run"]).path / WEIGHTS_NAME)
    images = train_data(task.data, config["data"]["train_images"])
    batches = task.batches(images, recipe.batch_size, recipe.augmentation, seed)
    test = FinalEvaluation(task.data, task.info.phase, config["data"]["test_images"]).open_test()
    values, loop = train(
        network,
        recipe,
        batches,
        task.evaluation(test),
        task.engine,
        partial(task.make_loop, seed),
        num_classes=task.data.info.num_classes,
        masks=architecture.masks,
        penalty=make_penalty(task),
        evaluate_every=config["evaluate_every"],
    )
    if task.engine.group.rank:
        return {}  # the first process writes
    save_weights(network.state_dict(), task.directory.path / WEIGHTS_NAME)
    costs = cost.network_costs(network, architecture.masks, task.image_shape, task.engine)
    costs |= {
        "peak_memory": loop.peak_memory,
        "wall_s": loop.wall_seconds,
        "device_s": loop.device_seconds,
        "images": loop.images,
        **cost_of_needs(task),
    }
    return {
        "metrics": final_metrics(values, task.directory),
        "network": {"image_shape": list(task.image_shape), "classes": task.data.info.num_classes},
        "costs": costs,
        "architecture": architecture.digest,
        "epochs": loop.epoch,
        "report": report,
    }


def chosen_architecture(task: Task) -> tuple[Architecture, dict[str, Any]]:
    """The architecture a training is of, and what the run that made it reported.

    Raises:
        RunError: a published or given architecture is no longer the one that was planned.
    """
    wanted = task.config["architecture"]
    if "run" not in wanted:
        named = "published" in wanted
        architecture = published(wanted["published"]) if named else Architecture.load(Path(wanted["file"]))
        if architecture.digest != wanted["digest"]:
            raise RunError(f"architecture {wanted} has changed since this run was planned (now {architecture.digest})")
        return architecture, {}
    source = task.needed(wanted["run"])
    assert source.result is not None
    report = dict(source.result.get("report", {}))
    select = wanted["select"]
    if select is None:
        return Architecture.load(source.path), report
    return chosen_member(task, source, select, report)


def chosen_member(
    task: Task, source: Record, select: dict[str, Any], report: dict[str, Any]
) -> tuple[Architecture, dict[str, Any]]:
    """The member of a search's family that a row asks for; see `bench.experiment.Selection`.

    Raises:
        RunError: the search gave no family, or none of it is small enough.
    """
    on, at_most = select["on"], select["at_most"]
    settings = NetworkSettings(**task.config["network"], in_channels=task.image_shape[0])
    counted = []
    for path in sorted((source.path / "family").glob("*")):
        member = Architecture.load(path)
        network = build(member, task.data.info.num_classes, settings)
        counts = {
            "params": cost.count_params(network),
            "params_nonzero": cost.count_nonzero(network, member.masks),
            "macs": cost.count_macs(network, task.image_shape),
        }
        counted.append((counts[on], member))
    if not counted:
        raise RunError(f"{source.info.name} gives one architecture and no family to select from; remove 'select'")
    fitting = [pair for pair in counted if at_most is None or pair[0] <= at_most]
    if not fitting:
        sizes = sorted(size for size, _ in counted)
        raise RunError(f"no architecture of {source.info.name} has {on} <= {at_most}; it has {sizes}")
    size, member = (min if select["smallest"] else max)(fitting, key=lambda pair: pair[0])
    return member, {**report, "selected": {**select, "value": size, "of": len(counted)}}


def settings_for(task: Task, recipe: Recipe) -> NetworkSettings:
    """How the network of a training is built.

    Raises:
        RunError: the recipe asks for an auxiliary head and the images are too small for it.
    """
    network, size = task.config["network"], task.image_shape[-1]
    auxiliary = recipe.auxiliary_weight > 0
    if auxiliary and network["stem"] == "cifar" and size != 32:
        raise RunError(
            f"recipe {recipe.name} wants an auxiliary head, which needs 32x32 images; these are {size}x{size}. "
            "Set auxiliary_weight: 0 in the profile's recipe_changes"
        )
    return NetworkSettings(**network, auxiliary=auxiliary, in_channels=task.image_shape[0])


def make_penalty(task: Task) -> Any:
    """The extra loss of a dense training that a later transform asks for (network slimming), or None."""
    wanted = task.config["penalty"]
    if wanted is None:
        return None
    cls = get_method(wanted["method"])
    method = cls(parse(cls.Options, wanted["options"], "options"), task.context())  # type: ignore[call-arg]
    assert isinstance(method, Transform)
    return method.training_penalty


def final_metrics(values: dict[str, float], directory: RunDirectory) -> dict[str, Any]:
    """The headline is the last epoch; the best epoch stands beside it and chooses nothing."""
    accuracies = {line["epoch"]: line["values"].get("test/accuracy") for line in directory.read_metrics()}
    evaluated = {epoch: value for epoch, value in accuracies.items() if value is not None}
    best = max(evaluated, key=lambda epoch: evaluated[epoch])
    return {
        "test_accuracy": values["test/accuracy"],
        "test_error": 100.0 - values["test/accuracy"],
        "test_loss": values["test/loss"],
        "best_test_accuracy": evaluated[best],
        "best_epoch": best,
        "train_loss": values["train/loss"],
        "train_accuracy": values["train/accuracy"],
    }


def cost_of_needs(task: Task) -> dict[str, Any]:
    """Device seconds and peak memory of all runs this one stands on, each counted once."""
    found: dict[str, Record] = {}

    def collect(needs: list[str]) -> None:
        for signature in needs:
            if signature not in found:
                found[signature] = task.needed(signature)
                collect(found[signature].info.needs)

    collect(task.info.needs)
    costs = [record.result["costs"] for record in found.values() if record.result is not None]
    peaks = [entry["peak_memory"] for entry in costs if entry.get("peak_memory")]
    return {
        "search_device_s": sum(entry.get("device_s") or 0.0 for entry in costs),
        "search_peak_memory": max(peaks, default=None),
    }
