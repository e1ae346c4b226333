"""What every phase has at hand: the run's directory, configuration, engine and data, and its seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.data.augment import get_augmentation
from bench.data.batches import Batches, evaluation_batches
from bench.data.fingerprint import fingerprint
from bench.data.images import ImageData, LabelledImages
from bench.data.patches import batches_of
from bench.data.search_protocol import search_protocol
from bench.data.splits import SearchData, search_data
from bench.device.engine import Engine
from bench.plan.recipe import Recipe
from bench.records.directory import Record, RunDirectory, RunInfo
from bench.records.inputs import finished_record
from bench.run.images import load_images
from bench.run.loop import Loop
from bench.run.stop import StopFlag
from bench.seeds import derive
from methods.architecture import Architecture
from methods.base import SearchContext, SearchSplit
from methods.spaces import NetworkSettings
from methods.tasks import Task, task_of

EVALUATION_BATCH = {"cpu": 128, "cuda": 256}
"""Images at once, by device; on a CPU so few that evaluating a supernet takes no more memory than a step."""


class RunError(RuntimeError):
    """A run that cannot be done as it was asked for."""


@dataclass
class RunContext:
    """Everything a phase needs at hand."""

    directory: RunDirectory
    info: RunInfo
    engine: Engine
    stop: StopFlag

    @property
    def config(self) -> dict[str, Any]:
        return self.info.config

    @cached_property
    def task(self) -> Task:
        """What the network is for."""
        return task_of(self.config)

    @cached_property
    def data(self) -> ImageData:
        """The images, read at the first question."""
        return load_images(self.info, self.directory.path.resolve().parent.parent)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.data.info.input_shape

    def seed(self, use: str, repetition: int | None) -> int:
        """A seed for one use; it depends on the data set and the repetition, not on the method: seeds are paired."""
        return derive(dataset=self.info.dataset, use=use, repetition=repetition)

    def make_loop(self, seed: int, parts: dict[str, Any]) -> Loop:
        return Loop(self.directory, self.info.signature, seed, self.engine, parts, self.stop, self.task)

    def search_context(self) -> SearchContext:
        info = self.data.info
        stem = self.config.get("stem", "cifar")
        seed = self.seed("method", self.info.search_seed)
        return SearchContext(info.outputs, info.channels, info.image_size, stem, seed, task=self.task)

    def batches(
        self,
        images: LabelledImages,
        batch_size: int,
        augmentation: str,
        seed: int,
        stream: str = "train",
        fresh: bool = False,
    ) -> Batches:
        """Shuffled, augmented batches on the device; see `Batches` for what decides them."""
        chosen = get_augmentation(augmentation, self.data.info)
        device, group = self.engine.device, self.engine.group
        if not group.alone and self.info.phase == "search":
            group.check_shares(batch_size, len(images.labels) * self.data.info.examples)
        return batches_of(images)(
            images.images,
            images.labels,
            batch_size,
            chosen,
            seed,
            device,
            stream=stream,
            fresh=fresh,
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
            serve=batches_of(images),
        )

    def note_data(self, part: str, images: LabelledImages) -> None:
        """Write down what the images are by their fingerprint, which must not change under a run or what it needs.

        Args:
            part: "train" or "test".

        Raises:
            RunError: the run began, or a run it needs was made, with others.
        """
        found = fingerprint(images, self.data.info.classes)
        others = {self.info.name: self.info} | {run.info.name: run.info for run in map(self.needed, self.info.needs)}
        for name, info in others.items():
            known = info.environment.get("data", {}).get(part)
            if info.dataset == self.info.dataset and known is not None and known != found:
                raise RunError(
                    f"the {part} images of '{info.dataset}' have changed since {name} used them: {_said(known)} then, "
                    f"{_said(found)} now. Bring the data back, or remove {self.directory.path.parent / name} (and what "
                    "rests on it) to make it again"
                )
        self.info.environment["data"] = {**self.info.environment.get("data", {}), part: found}
        self.directory.begin(self.info)

    def needed(self, signature: str) -> Record:
        """A finished run this one reads.

        Raises:
            RunError: it is not there or not done.
            RecordError: it is damaged or was changed.
        """
        for path in self.directory.path.parent.glob(f"*-{signature[:10]}"):
            record = finished_record(path)
            if record is not None and record.info.signature == signature:
                return record
        raise RunError(f"{self.info.name} needs run {signature}, which is not done; run the experiment to make it")


def _said(found: dict[str, Any]) -> str:
    return f"{found['images']} images of {found['classes']} classes ({found['digest']})"


def divided(run: RunContext, split: SearchSplit, seed: int) -> SearchData:
    """The search's own view of the data: there is no way from here to the test set."""
    return search_data(run.data, split, seed, run.config["data"]["train_images"], search_protocol(run.config))


def with_provenance(run: RunContext, architecture: Architecture, more: dict[str, Any]) -> Architecture:
    """The architecture with who found it and how added to its provenance."""
    info = run.info
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


def settings_for(run: RunContext, recipe: Recipe) -> NetworkSettings:
    """How the network of a training is built.

    Raises:
        RunError: the recipe asks for an auxiliary head and the images are too small for it.
    """
    network, size = run.config["network"], run.image_shape[-1]
    auxiliary = recipe.auxiliary_weight > 0
    if auxiliary and network["stem"] == "cifar" and size != 32:
        raise RunError(
            f"recipe {recipe.name} wants an auxiliary head, which needs 32x32 images; these are {size}x{size}. "
            "Set auxiliary_weight: 0 in the profile's recipe_changes"
        )
    return NetworkSettings(**network, auxiliary=auxiliary, in_channels=run.image_shape[0])
