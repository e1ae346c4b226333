"""How a network is timed: in turn with one fixed network, so that a drift of the machine is in both.

On a shared machine the same network takes another time an hour later, and wall-clock time says how busy the others are.
So times are CPU time where one thread computes, each round runs the reference and the network in turn, the fastest call
of each counts, and a latency is their ratio, times what the reference takes typically (the median over the data set).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Call = Callable[[], object]
Clock = Callable[[], float]

CLOCKS: dict[str, Clock] = {"cpu": time.thread_time, "wall": time.perf_counter}
"""Seconds: of this thread's work, or on the wall."""


@dataclass(frozen=True)
class Protocol:
    """Attributes:
    rounds: of reference and network in turn.
    calls: forward passes of each in a round, timed one by one.
    clock: "cpu" or "wall".
    warm_up: forward passes before, which do not count.
    """

    rounds: int
    calls: int
    clock: Literal["cpu", "wall"]
    warm_up: int = 2


@dataclass(frozen=True)
class Timed:
    """Milliseconds of every call, in order."""

    network: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return min(self.network) / min(self.reference)


def timed(network: Call, reference: Call, protocol: Protocol, clock: Clock | None = None) -> Timed:
    """Both in turn, as the protocol says.

    Args:
        clock: another one than the protocol's, in tests.
    """
    read = clock or CLOCKS[protocol.clock]
    for _ in range(protocol.warm_up):
        reference()
        network()
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(protocol.rounds):
        for times, call in zip(found, (network, reference), strict=True):
            times += [_milliseconds(call, read) for _ in range(protocol.calls)]
    return Timed(*map(tuple, found))


def _milliseconds(call: Call, read: Clock) -> float:
    began = read()
    call()
    return round((read() - began) * 1e3, 5)


def typical(references: Sequence[float]) -> float:
    """The median, of a sequence with at least one entry."""
    ordered = sorted(references)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
