"""The search loops: one for methods that train a supernet, one for methods that propose and are told a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from itertools import repeat
from typing import Any

from torch import Tensor, nn

from bench.data.batches import Batches
from bench.device.distributed import share_statistics
from bench.device.engine import Engine
from bench.run.evaluators.base import Cost, Evaluator, Scored
from bench.run.loop import DivergenceError, Loop
from bench.run.train import evaluate
from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SamplingSearch
from methods.parts.costs.preference import Indifferent
from methods.tasks import CLASSIFICATION, Task


def gradient_search(
    method: GradientSearch,
    train: Batches,
    valid: Batches | None,
    validation: Batches | None,
    engine: Engine,
    make_loop: Callable[[dict[str, Any]], Loop],
    task: Task = CLASSIFICATION,
) -> tuple[Architecture, Loop]:
    """Run a gradient search to its end and return its architecture.

    Args:
        train: batches of the search-train part.
        valid: batches of the search-valid part, drawn beside every training batch; None for one-level methods.
        validation: the search-valid part in order, for methods that choose between their own snapshots.
        make_loop: builds the `Loop` from the parts whose state a continued search needs.
        task: what is measured on `validation`.

    Raises:
        DivergenceError: a loss is no longer finite.
    """
    method.to(engine.device)
    if not engine.group.alone:
        share_statistics(method.supernet, engine.group)
        method.average = engine.group.average
    method.begin(len(train))
    loop = make_loop({"method": method})

    def score() -> dict[str, float]:
        assert validation is not None, f"{method.name} has no validation part in its split"
        found = evaluate(method.supernet, validation, engine, "", task)
        loop.check_finite({f"valid/{name}": value for name, value in found.items()})
        return found

    def update(train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        with engine.autocast():
            return method.step(train_batch, valid_batch)

    step = engine.graphed(update, method.supernet)
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
    check_weights(method.supernet)
    return method.architecture(), loop


def check_weights(network: nn.Module) -> None:
    """Raises DivergenceError when a parameter is NaN or infinite: no loss has seen the last step's update yet."""
    for name, parameter in network.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise DivergenceError(f"{name} is no longer finite after the last step: the search has diverged")


class SamplingState:
    """What a sampling search has asked and been told so far."""

    def __init__(self) -> None:
        self.scored: list[Scored] = []

    def state_dict(self) -> dict[str, Any]:
        return {"scores": [each.score for each in self.scored], "costs": [astuple(each)[1:] for each in self.scored]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        costs = state.get("costs", [(None, None, None)] * len(state["scores"]))  # earlier versions did not count them
        self.scored = [Scored(score, *cost) for score, cost in zip(state["scores"], costs, strict=True)]

    def costs(self, prepared: Cost | None = None) -> dict[str, Any]:
        """Of all proposals: images and seconds together, the largest peak; None where one of them is not known.

        Args:
            prepared: what came before the first score.
        """
        parts: list[Scored | Cost] = [*([prepared] if prepared else []), *self.scored]

        def total(values: list[Any], add: Callable[[list[Any]], Any]) -> Any:
            return None if None in values else add(values)

        seconds = total([each.seconds for each in parts], lambda values: float(sum(values)))
        peaks = [each.peak_memory for each in parts]
        return {
            "peak_memory": total(peaks, max) if peaks else None,
            "wall_s": seconds,
            "device_s": seconds,
            "images": total([each.images for each in parts], sum),
        }


MOST_REFUSED = 10_000
"""Proposals in a row that a constraint refuses before the search gives up."""


def sampling_search(
    method: SamplingSearch,
    evaluator: Evaluator,
    state: SamplingState,
    keep: Callable[[int], None] = lambda number: None,
    told: Callable[[int, Architecture], None] = lambda number, proposal: None,
    preference: Indifferent | None = None,
    at_once: int = 1,
) -> Architecture:
    """Ask, score, tell; a continued search replays the scores it already has.

    An architecture that is proposed again gets the score it had, at no further cost.

    Args:
        evaluator: scores proposals; it is not asked where the method needs no scores (one random sample).
        keep: called when the n-th score is in `state`, to write that down.
        told: called when the method knows all there is of the n-th proposal.
        preference: what it is told where costs count, too.
        at_once: proposals of a round, which are asked for before the first of them is told; told in their order.
    """
    known: dict[str, Scored] = {}
    preference = preference or Indifferent()
    for first in range(0, method.samples, at_once):
        for n, (proposal, refused) in enumerate(_round(method, preference, first, at_once), first):
            if method.needs_scores:
                digest = proposal.digest
                if n == len(state.scored):
                    again = known.get(digest)
                    state.scored.append(again.again() if again else evaluator.score([(n, proposal)])[0])
                    keep(n)
                known.setdefault(digest, state.scored[n])
                method.tell(proposal, preference.told(proposal, state.scored[n].score))
            elif refused:
                method.tell(proposal, 0.0)  # above all that were refused
            told(n, proposal)
    return method.architecture()


def proposals_to(
    number: int, method: SamplingSearch, scored: Sequence[Scored], preference: Indifferent, at_once: int
) -> list[Architecture]:
    """What a new search proposes, up to the end of the round of proposal `number`.

    Args:
        scored: all proposals of the rounds before.
    """
    found: list[Architecture] = []
    while True:
        asked = [proposal for proposal, _ in _round(method, preference, len(found), at_once)]
        if number < len(found) + len(asked):
            return [*found, *asked]
        for proposal in asked:
            method.tell(proposal, preference.told(proposal, scored[len(found)].score))
            found.append(proposal)


def _round(method: SamplingSearch, preference: Indifferent, first: int, at_once: int) -> list[tuple[Architecture, int]]:
    """The proposals of the round that begins with number `first`, as `_allowed` has them."""
    return [_allowed(method, preference) for _ in range(min(at_once, method.samples - first))]


def _allowed(method: SamplingSearch, preference: Indifferent) -> tuple[Architecture, int]:
    """The next proposal that is to be scored, and how many were refused before it.

    Raises:
        MethodError: none was, of very many.
    """
    worst = 0.0
    for refused in range(MOST_REFUSED):
        proposal = method.ask()
        refusal = preference.refusal(proposal)
        if refusal is None:
            return proposal, refused
        method.tell(proposal, refusal)
        worst = -refusal
    raise MethodError(
        f"{method.name} proposed {MOST_REFUSED:,} architectures in a row that cost more than 'at_most' allows; the "
        f"last one is {worst:.3g} times as much; allow more"
    )
