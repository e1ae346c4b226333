"""Networks on one set of weights, as they are: built by themselves, their normalisations' statistics taken anew."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bench.data.augment import get_augmentation
from bench.data.batches import Batches
from bench.data.images import LabelledImages
from bench.data.splits import SearchData
from bench.device.distributed import share_statistics
from bench.device.engine import Engine
from bench.records.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.records.weights import WEIGHTS_NAME, save_weights
from bench.run.loop import Loop
from bench.run.phases.task import Task
from bench.run.stop import InterruptedRunError
from bench.run.train import evaluate
from methods.architecture import Architecture
from methods.base import SharedWeights
from methods.parts.recalibration import recalibrate
from methods.spaces import NetworkSettings, build


def inherited_network(
    task: Task, method: SharedWeights, architecture: Architecture, train: LabelledImages
) -> tuple[nn.Module, int]:
    """A network with its part of the weights, in evaluation mode, and how many images its statistics are of.

    The same in a search and in what rests on it: the first images of search-train, which are of all classes.
    """
    engine = task.engine
    network = with_its_weights(method, architecture, engine)
    share_statistics(network, engine.group)
    batches = itertools.islice(plain_batches(task, train, method.batch_size).epoch(0), method.recalibration_batches)
    with engine.autocast():
        recalibrate(network, network, (images for images, _ in batches))
    return network.eval(), min(len(train), method.batch_size * method.recalibration_batches)


def with_its_weights(method: SharedWeights, architecture: Architecture, engine: Engine) -> nn.Module:
    """A network by itself, on the device, with its part of the weights; its statistics are still those of all."""
    context = method.context
    settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
    network = build(architecture, context.num_classes, settings)
    network.load_state_dict(method.weights_of(architecture))
    return network.to(engine.device)


def plain_batches(task: Task, images: LabelledImages, batch_size: int) -> Batches:
    """In stored order and not augmented; of several processes each has its share of every batch."""
    engine, plain = task.engine, get_augmentation("none", task.data.info)
    return Batches(
        images.images,
        images.labels,
        min(batch_size, len(images)),
        plain,
        seed=0,
        device=engine.device,
        shuffle=False,
        rank=engine.group.rank,
        world_size=engine.group.size,
    )


@dataclass
class Scored:
    """What the scores of a search after its last epoch have cost so far, over all attempts; by digest the scores."""

    scores: dict[str, dict[str, float]]
    images: int = 0
    seconds: float = 0.0


class Scores:
    """Scores networks on a search's weights, each once, and keeps what is known between attempts."""

    def __init__(self, task: Task, method: SharedWeights, data: SearchData, loop: Loop) -> None:
        self.task, self.method, self.data, self.loop = task, method, data, loop
        found = load_newest_checkpoint(self.kept, task.info.signature) if task.engine.group.rank == 0 else None
        state = task.engine.group.from_first(found["state"] if found else None)
        self.known = Scored(**state) if state else Scored({})

    @property
    def kept(self) -> Path:
        return self.task.directory.path / "scores"

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Loss and accuracy (percent) on search-valid.

        Raises:
            InterruptedRunError: the run was asked to stop; what is known is kept.
            DivergenceError: the loss is no longer finite.
        """
        digest = architecture.digest
        if digest not in self.known.scores:
            self._look_at_the_flag()
            self._add(digest, architecture)
        return self.known.scores[digest]

    def _look_at_the_flag(self) -> None:
        stop = self.task.stop
        if any(self.task.engine.group.agree(bool(stop.reason))):
            raise InterruptedRunError(stop.reason or "another process of this run")

    def _add(self, digest: str, architecture: Architecture) -> None:
        began, task, known = time.monotonic(), self.task, self.known
        network, images = inherited_network(task, self.method, architecture, self.data.train)
        found = evaluate(network, task.evaluation(self.data.valid), task.engine, "")
        self.loop.check_finite({f"valid/{name}": value for name, value in found.items()})
        known.scores[digest] = found
        known.images += images + len(self.data.valid)
        known.seconds += time.monotonic() - began
        if task.engine.group.rank == 0:
            task.directory.may_write()
            save_checkpoint(self.kept, len(known.scores), 0, task.info.signature, asdict(known))


def choose(task: Task, method: SharedWeights, data: SearchData, loop: Loop) -> dict[str, Any]:
    """Let a trained search choose, and keep its weights.

    Returns:
        of the costs of the search those that this changes, over all attempts.
    """
    seconds, scores = loop.wall_seconds, Scores(task, method, data, loop)
    method.choose(scores)
    if task.engine.group.rank == 0:
        save_weights(method.supernet.state_dict(), task.directory.path / WEIGHTS_NAME)
    seconds += scores.known.seconds
    return {
        "peak_memory": max(loop.peak_memory, task.engine.peak_memory()),
        "wall_s": seconds,
        "device_s": seconds * task.engine.group.size,
        "images": loop.images + scores.known.images,
        "scored": len(scores.known.scores),
    }
