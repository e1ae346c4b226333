"""The fourth witness of a status: whether MLflow shows the finished runs as their records have them.

It is asked in a thread beside the others: a tracker that is slow or down must not hold up what is known without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.tracking.check import Comparison, compare_records
from bench.tracking.mirror import Store, TrackingError, open_store
from slurm.status import Status

PATIENCE_SECONDS = 10.0
FILE_PATIENCE_SECONDS = 120.0
"""A database that is a file cannot be silent: comparing thousands of runs on a busy machine takes its time."""
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
        self._asked = float("-inf")
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        try:
            self._store = open_store(runs_dir, uri)
        except TrackingError as error:
            self._latest = Answer(f"MLflow: {error}", False)

    def ask(self, now: Sequence[Status]) -> None:
        """Start a look at how it shows these runs, unless one is under way."""
        if self._store is not None and not self._is_open():
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._look, args=(self._store, now), daemon=True)
            self._thread.start()

    def ask_again(self, now: Sequence[Status]) -> None:
        """Start a look when the last one was a while ago."""
        if time.monotonic() - self._asked >= AGAIN_SECONDS:
            self.ask(now)

    def answer(self) -> Answer:
        """The latest answer; or that there is none, when a question is open for too long."""
        waited = time.monotonic() - self._asked
        if self._store is not None and self._is_open() and waited >= self._patience:
            return Answer(f"MLflow does not answer: {self._store.shown}, asked {waited:.0f} s ago", False)
        return self._latest

    def wait(self) -> Answer:
        """The answer to the latest question, or that there is none in time."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._asked + self._patience - time.monotonic()))
        return self.answer()

    @property
    def _patience(self) -> float:
        is_file = self._store is not None and self._store.file is not None
        return FILE_PATIENCE_SECONDS if is_file else PATIENCE_SECONDS

    def _is_open(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

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
