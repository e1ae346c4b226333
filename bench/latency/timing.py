"""How a network is timed: in turn with one fixed network, so that what disturbs the machine is in both.

On a shared machine the same network takes another time a second later, and wall-clock time says how busy the others
are. So times are CPU time where one thread computes; each round runs the network and the reference in turn; the fastest
call of each counts, and a network's ratio to the reference is the geometric mean over the rounds. (On two busy cores,
between two measurements of 8 networks each, this differed by 6.0 % for cells and 5.0 and 6.4 % for chains; the fastest
of all calls over the fastest of all the reference's by 9.2, 11.1 and 10.6 %, and without a reference by 13.6, 29.1 and
22.2 %.) A latency is this ratio times what the reference takes when little disturbs it: the first decile of its fastest
calls over the data set.
"""

from __future__ import annotations

import math
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
    """Milliseconds of every call, in order, round after round."""

    network: tuple[float, ...]
    reference: tuple[float, ...]

    def ratio(self, calls: int) -> float:
        """The network's time over the reference's, see above.

        Args:
            calls: of each in a round.
        """
        both = zip(batched(self.network, calls), batched(self.reference, calls), strict=True)
        logarithms = [math.log(min(network) / min(reference)) for network, reference in both]
        return math.exp(sum(logarithms) / len(logarithms))


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


def batched(times: Sequence[float], calls: int) -> list[Sequence[float]]:
    """The calls of each round."""
    return [times[start : start + calls] for start in range(0, len(times), calls)]


def undisturbed(references: Sequence[float]) -> float:
    """The first decile, of a sequence with at least one entry: the smallest that a tenth of them do not exceed."""
    return sorted(references)[max(0, math.ceil(0.1 * len(references)) - 1)]
