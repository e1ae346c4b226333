"""The search loops: one for methods that train a supernet, one for methods that propose and are told a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from torch import Tensor

from bench.data.batches import Batches
from bench.distributed import share_statistics
from bench.engine import Engine
from bench.loop import Loop
from bench.train import evaluate
from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, SamplingSearch


def gradient_search(
    method: GradientSearch,
    train: Batches,
    valid: Batches | None,
    validation: Batches | None,
    engine: Engine,
    make_loop: Callable[[dict[str, Any]], Loop],
) -> tuple[Architecture, Loop]:
    """Run a gradient search to its end and return its architecture.

    Args:
        train: batches of the search-train part.
        valid: batches of the search-valid part, drawn beside every training batch; None for one-level methods.
        validation: the search-valid part in order, for methods that choose between their own snapshots.
        make_loop: builds the `Loop` from the parts whose state a continued search needs.

    Raises:
        DivergenceError: a loss is no longer finite.
    """
    method.to(engine.device)
    if not engine.group.alone:
        share_statistics(method.supernet, engine.group)
        method.average = engine.group.average
    loop = make_loop({"method": method})

    def score() -> dict[str, float]:
        assert validation is not None, f"{method.name} has no validation part in its split"
        return evaluate(method.supernet, validation, engine, "")

    def update(train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        with engine.autocast():
            return method.step(train_batch, valid_batch)

    step = engine.graphed(update)
    for epoch in loop.epochs(method.epochs, lambda: method.finished):
        if method.on_epoch_start(epoch):
            share_statistics(method.supernet, engine.group)  # a regrown operation brings new normalisations
            step.renew()
        method.supernet.train()
        steps = len(train)
        beside: Iterable[Batch | None] = repeat(None) if valid is None else valid.epoch(epoch, loop.step, steps)
        pairs = zip(train.epoch(epoch, loop.step), beside, strict=False)
        for train_batch, valid_batch in loop.steps(pairs, steps):
            loop.add(step(train_batch, valid_batch))
        values = loop.averages()
        engine.group.check_same(method.supernet)
        loop.end_epoch({**values, **method.on_epoch_end(epoch, score if validation is not None else None)})
    return method.architecture(), loop


class SamplingState:
    """What a sampling search has asked and been told so far."""

    def __init__(self) -> None:
        self.scores: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        return {"scores": list(self.scores)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores = list(state["scores"])


def sampling_search(
    method: SamplingSearch, score: Callable[[int, Architecture], float], state: SamplingState
) -> Architecture:
    """Ask, score, tell; a continued search replays the scores it already has.

    Args:
        score: validation accuracy (percent) of the n-th proposal after a short training on search-train. It is not
            asked for when the method wants one sample only: that is random sampling, which nothing selects.
    """
    for n in range(method.samples):
        proposal = method.ask()
        if method.samples == 1:
            break
        if n == len(state.scores):
            state.scores.append(score(n, proposal))
        method.tell(proposal, state.scores[n])
    return method.architecture()
