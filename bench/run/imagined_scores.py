"""For estimates: what a search with shared weights will score after its last epoch, and how long that takes.

Which networks are asked for follows from scores that nobody knows yet. They are made up, on a method that is thrown
away; a few of the networks are then built and timed as they would be scored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bench.device.engine import Engine
from bench.run.cost import network_costs
from bench.run.phases.context import EVALUATION_BATCH
from bench.run.shared_weights import with_its_weights
from methods.architecture import Architecture
from methods.base import SharedWeights
from methods.parts.recalibration import recalibrate
from methods.spaces import NetworkSettings, get_space

TIMED_NETWORKS = 3
"""The first, the last and what is between them, of all that are expected."""
TIMED_IMAGES = 16
"""Of a batch, on a CPU: a profile that is meant for a GPU has networks and a precision that take a CPU long."""


def seconds_of_choosing(method: SharedWeights, engine: Engine, train: int, valid: int) -> float:
    """Of all scores; a way down to a budget is one that chance takes.

    Args:
        train, valid: images of the search's parts.
    """
    asked: dict[str, Architecture] = {}
    chance = torch.Generator().manual_seed(0)

    def score(architecture: Architecture) -> dict[str, float]:
        asked[architecture.digest] = architecture
        return {"accuracy": float(torch.rand((), generator=chance)), "loss": 0.0}

    method.choose(score)
    return _seconds(list(asked.values()), Evaluation(method, engine, train, valid))


def seconds_of_inheriting(method: SharedWeights, engine: Engine, train: int, test: int, alone: bool) -> float:
    """Of a family as it is, at the most: where a larger network is always the better one, none is left out.

    Args:
        train, test: images of the search's part, and of the final evaluation.
        alone: one of them is selected.
    """
    context = method.context
    settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)

    def score(architecture: Architecture) -> dict[str, float]:
        space = get_space(architecture.space)
        counts = space.counts(architecture, context.num_classes, settings, context.image_size)
        return {"accuracy": float(counts.macs), "loss": 0.0}

    method.choose(score)
    shape = context.in_channels, context.image_size, context.image_size
    counted = lambda network: network_costs(network, {}, shape, engine)  # noqa: E731
    family = method.family()
    return _seconds(family[:1] if alone else family, Evaluation(method, engine, train, test, counted))


@dataclass(frozen=True)
class Evaluation:
    """How networks on shared weights are evaluated.

    Attributes:
        train: images of the search's part, from which statistics are taken.
        evaluated: images on which a network is evaluated.
        then: what is done with each network after that.
    """

    method: SharedWeights
    engine: Engine
    train: int
    evaluated: int
    then: Callable[[nn.Module], object] = id

    def seconds(self, architecture: Architecture) -> float:
        """Of one network: by a batch for its statistics and a batch of evaluation, on a CPU by few images of each."""
        method, engine = self.method, self.engine
        of_statistics = min(method.batch_size * method.recalibration_batches, self.train)
        most = TIMED_IMAGES if engine.device.type == "cpu" else EVALUATION_BATCH[engine.device.type]
        size, many = min(method.batch_size, self.train, most), min(most, self.evaluated)
        started = self._now()
        network = with_its_weights(method, architecture, engine)
        built = self._now()
        with engine.autocast():
            recalibrate(network, network, [self._images(size)])
        calibrated = self._now()
        with torch.no_grad(), engine.autocast():
            network.eval()(self._images(many))
        evaluated = self._now()
        self.then(network)
        more = self._now() - evaluated
        evaluation = (evaluated - calibrated) * math.ceil(self.evaluated / many)
        return built - started + (calibrated - built) * math.ceil(of_statistics / size) + evaluation + more

    def _images(self, count: int) -> torch.Tensor:
        context = self.method.context
        shape = count, context.in_channels, context.image_size, context.image_size
        return torch.randn(shape, device=self.engine.device)

    def _now(self) -> float:
        self.engine.synchronize()
        return time.perf_counter()


def _seconds(networks: Sequence[Architecture], evaluation: Evaluation) -> float:
    """Of all networks, by a few of them."""
    places = {round(place * (len(networks) - 1) / (TIMED_NETWORKS - 1)) for place in range(TIMED_NETWORKS)}
    evaluation.seconds(networks[0])  # the first one takes longer
    timed = [evaluation.seconds(networks[place]) for place in sorted(places)]
    return len(networks) * sum(timed) / len(timed)
