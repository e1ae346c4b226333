"""Being asked to stop: a signal sets a flag that is read between steps, so that none is cut in two.

One that comes while Python is still importing would kill the process by its default action. Whoever starts a run holds
the signals back; they stay pending across exec, and the run takes them as soon as it listens.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
"""USR2 is submitit's preemption signal."""


class InterruptedRunError(Exception):
    """The run was asked to stop; its checkpoint is written and the same command continues it."""


class StopFlag:
    """Set by a signal, read between steps."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def install(self) -> None:
        """React to the signals from now on, and to those that were held back until now."""
        for number in SIGNALS:
            signal.signal(number, self._set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _set(self, number: int, frame: object) -> None:
        self.reason = signal.Signals(number).name


@contextmanager
def held_back() -> Iterator[None]:
    """A process that is started within gets the signals when it installs its `StopFlag`, not before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
