"""The fourth witness of a status: whether MLflow shows the finished runs as their records have them.

It is asked in a thread beside the others: a tracker that is slow or down must not hold up what is known without it.
While the question is open, another thread feels whether the tracker is there at all: one that is busy, or asked from a
busy machine, is slow and not dead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.tracking.check import Comparison, compare_records
from bench.tracking.mirror import Store, TrackingError, open_store
from bench.tracking.pulse import is_there
from slurm.status import Status

PATIENCE_SECONDS = 10.0
"""A tracker of which nothing is heard for so long does not answer."""
LONGEST_SECONDS = 120.0
"""How long one that is only slow is waited for: on a busy machine importing MLflow and comparing thousands of runs take
their time."""
PULSE_SECONDS = 2.0
"""How often it is felt whether a tracker that has not answered yet is there."""
AGAIN_SECONDS = 60.0
"""How long an answer counts in a watch: asking imports MLflow the first time and reads every finished run."""
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Answer:
    """One line for a person; `good` when MLflow is up to date or there is nothing it should know."""

    text: str = ""
    good: bool = True


class Tracker:
    """What MLflow says of the finished runs of some folders, whose records were read by who asks."""

    def __init__(self, runs_dir: Path, uri: str | None) -> None:
        self._latest = Answer()
        self._asked = self._heard = float("-inf")
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        try:
            self._store = open_store(runs_dir, uri)
        except TrackingError as error:
            self._latest = Answer(f"MLflow: {error}", False)

    def ask(self, now: Sequence[Status]) -> None:
        """Start a look at how it shows these runs, unless one is under way."""
        if self._store is not None and not self._is_open():
            self._asked = self._heard = time.monotonic()
            self._thread = threading.Thread(target=self._look, args=(self._store, now), daemon=True)
            self._thread.start()
            threading.Thread(target=self._feel, args=(self._store, self._thread), daemon=True).start()

    def ask_again(self, now: Sequence[Status]) -> None:
        """Start a look when the last one was a while ago."""
        if time.monotonic() - self._asked >= AGAIN_SECONDS:
            self.ask(now)

    def answer(self) -> Answer:
        """The latest answer; or that a question is open for too long."""
        if self._store is None or not self._is_open():
            return self._latest
        waited = f"{self._store.shown}, asked {time.monotonic() - self._asked:.0f} s ago"
        if self._is_silent:
            return Answer(f"MLflow does not answer: {waited}", False)
        if self._is_slow:
            return Answer(f"MLflow is there, but slow: {waited}; what it shows is not known yet", False)
        return self._latest

    def wait(self) -> Answer:
        """The answer to the latest question; or that there is none in time."""
        while self._thread is not None and self._is_open() and not (self._is_silent or self._is_slow):
            self._thread.join(min(PULSE_SECONDS, PATIENCE_SECONDS))
        return self.answer()

    @property
    def _is_silent(self) -> bool:
        return time.monotonic() - self._heard >= PATIENCE_SECONDS

    @property
    def _is_slow(self) -> bool:
        return time.monotonic() - self._asked >= LONGEST_SECONDS

    def _is_open(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _feel(self, store: Store, look: threading.Thread) -> None:
        """Note every sign of life until a look has ended."""
        while look.is_alive():
            begun = time.monotonic()
            if is_there(store, PATIENCE_SECONDS):
                self._heard = time.monotonic()
            look.join(max(0.0, begun + PULSE_SECONDS - time.monotonic()))

    def _look(self, store: Store, now: Sequence[Status]) -> None:
        try:
            found = {one.folder.name: compare_records([run.record for run in one.runs], store) for one in now}
            self._latest = describe(found, store)
        except Exception as error:  # whatever a tracker does, the rest of the status stands
            self._latest = Answer(f"MLflow: {error}", False)


def describe(found: Mapping[str, Comparison], store: Store) -> Answer:
    """What comparisons, by the folder's name, come to."""
    finished = sum(one.finished for one in found.values())
    if finished == 0:
        return Answer()
    if not all(one.store_exists for one in found.values() if one.finished):
        return Answer(f"MLflow: no {store.shown} yet; `dasbench sync` makes it from {_runs(finished)}", False)

    def names(kind: str) -> list[str]:
        prefix = len(found) > 1
        return [f"{folder}/{name}" if prefix else name for folder, one in found.items() for name in getattr(one, kind)]

    missing, differing = names("missing"), names("differing")
    if not missing and not differing:
        return Answer(f"MLflow shows all of {_runs(finished)}")
    parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"differs in {_some(differing)}"] * bool(differing)
    return Answer(f"MLflow {' and '.join(parts)} of {_runs(finished)}: `dasbench sync` brings it up to date", False)


def _runs(number: int) -> str:
    return f"{number} finished run{'s' * (number != 1)}"


def _some(names: list[str]) -> str:
    """The number, and the first few names."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names)} ({', '.join(names[:NAMES_SHOWN])}{more})"
