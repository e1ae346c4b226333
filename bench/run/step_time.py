"""How long a step takes here; on a CPU by as many of a batch's images as there is time for.

A profile meant for a GPU has steps that take a CPU minutes. There a step on few images comes first; what it says of a
whole batch decides how many the timed ones have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from bench.device.engine import Engine
from bench.device.graph import WARM_UP

TIMED_STEPS = 2
FEWEST = 4
"""Images of a first step on a CPU."""
GROWTH = 4
"""More images in the next one, where a whole batch would take too long."""

StepOn = Callable[[int], Callable[[], object]]
"""For a number of images, a step on so many."""


@dataclass
class Allowance:
    """Attributes:
    seconds: that the steps of one run may take on a CPU, as far as is foreseen; two on `FEWEST` images are always run.
    part: of its batch that was timed; what was, is reckoned up by it and so an upper bound.
    """

    seconds: float = math.inf
    part: float = 1.0


def seconds_per_step(
    step_on: StepOn, batch_size: int, engine: Engine, network: nn.Module, allowance: Allowance
) -> float:
    """Of a whole batch, in the precision of the run, and on a GPU as a graph where it is recorded."""
    if engine.device.type == "cpu":
        images, seconds = _within(step_on, batch_size, engine, allowance.seconds)
        if images < batch_size:
            allowance.part = min(allowance.part, images / batch_size)
            return seconds * batch_size / images
    step = _in_precision(step_on(batch_size), engine)
    timed = engine.graphed(step, network)
    for _ in range(1 if timed.recorder is None else WARM_UP + 1):
        timed()
    return _mean_seconds(timed, engine, TIMED_STEPS)


def _within(step_on: StepOn, batch_size: int, engine: Engine, allowed: float) -> tuple[int, float]:
    """How many images a step may have, and the seconds it takes; of a whole batch it is still to be timed."""
    images = min(FEWEST, batch_size)
    started = time.perf_counter()
    _in_precision(step_on(images), engine)()  # the first one takes longer
    while images < batch_size:
        seconds = _mean_seconds(_in_precision(step_on(images), engine), engine, 1)
        left = allowed - (time.perf_counter() - started)
        if (1 + TIMED_STEPS) * seconds * batch_size / images <= left:
            return batch_size, math.nan
        more = min(GROWTH * images, batch_size)
        if more == batch_size or seconds * more / images > left:
            return images, seconds
        images = more
    return images, math.nan


def _in_precision(step: Callable[[], object], engine: Engine) -> Callable[[], dict[str, Tensor]]:
    def work() -> dict[str, Tensor]:
        with engine.autocast():
            step()
        return {}

    return work


def _mean_seconds(step: Callable[[], object], engine: Engine, count: int) -> float:
    engine.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        step()
    engine.synchronize()
    return (time.perf_counter() - started) / count
