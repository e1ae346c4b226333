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
from bench.run.phases.context import RunContext
from bench.run.stop import InterruptedRunError
from bench.run.train import evaluate
from methods.architecture import Architecture
from methods.base import SharedWeights
from methods.parts.recalibration import recalibrate
from methods.spaces import NetworkSettings, build


def inherited_network(
    run: RunContext, method: SharedWeights, architecture: Architecture, train: LabelledImages
) -> tuple[nn.Module, int]:
    """A network with its part of the weights, in evaluation mode, and how many images its statistics are of.

    The same in a search and in what rests on it: the first images of search-train, which are of all classes.
    """
    engine = run.engine
    network = with_its_weights(method, architecture, engine)
    share_statistics(network, engine.group)
    batches = itertools.islice(plain_batches(run, train, method.batch_size).epoch(0), method.recalibration_batches)
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


def plain_batches(run: RunContext, images: LabelledImages, batch_size: int) -> Batches:
    """In stored order and not augmented; of several processes each has its share of every batch."""
    engine, plain = run.engine, get_augmentation("none", run.data.info)
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

    def __init__(self, run: RunContext, method: SharedWeights, data: SearchData, loop: Loop) -> None:
        self.run, self.method, self.data, self.loop = run, method, data, loop
        found = load_newest_checkpoint(self.kept, run.info.signature) if run.engine.group.rank == 0 else None
        state = run.engine.group.from_first(found["state"] if found else None)
        self.known = Scored(**state) if state else Scored({})

    @property
    def kept(self) -> Path:
        return self.run.directory.path / "scores"

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Loss and metric on search-valid.

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
        stop = self.run.stop
        if any(self.run.engine.group.agree(bool(stop.reason))):
            raise InterruptedRunError(stop.reason or "another process of this run")

    def _add(self, digest: str, architecture: Architecture) -> None:
        began, run, known = time.monotonic(), self.run, self.known
        network, images = inherited_network(run, self.method, architecture, self.data.train)
        found = evaluate(network, run.evaluation(self.data.valid), run.engine, "", run.task)
        self.loop.check_finite({f"valid/{name}": value for name, value in found.items()})
        known.scores[digest] = found
        known.images += images + len(self.data.valid)
        known.seconds += time.monotonic() - began
        if run.engine.group.rank == 0:
            run.directory.may_write()
            save_checkpoint(self.kept, len(known.scores), 0, run.info.signature, asdict(known))


def choose(run: RunContext, method: SharedWeights, data: SearchData, loop: Loop) -> dict[str, Any]:
    """Let a trained search choose, and keep its weights.

    Returns:
        of the costs of the search those that this changes, over all attempts.
    """
    seconds, scores = loop.wall_seconds, Scores(run, method, data, loop)
    method.choose(scores)
    if run.engine.group.rank == 0:
        save_weights(method.supernet.state_dict(), run.directory.path / WEIGHTS_NAME)
    seconds += scores.known.seconds
    return {
        "peak_memory": max(loop.peak_memory, run.engine.peak_memory()),
        "wall_s": seconds,
        "device_s": seconds * run.engine.group.size,
        "images": loop.images + scores.known.images,
        "scored": len(scores.known.scores),
    }
