"""Runs that do many short things, one after the other: those that are done are kept, and not done again."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any

from bench.records.atomic import write_whole
from bench.records.checkpoint import load_newest_checkpoint, save_checkpoint
from bench.run.loop import CHECKPOINT_SECONDS, PROGRESS_SECONDS
from bench.run.phases.context import RunContext
from bench.run.stop import InterruptedRunError


class Lines:
    """What of a run is done, kept between attempts: a seed of a batch, or a training of a setting, is a line.

    Attributes:
        lines: as they will stand in the file of the run, in their order.
    """

    def __init__(self, run: RunContext, total: int) -> None:
        self.run, self.total = run, total
        found = load_newest_checkpoint(run.directory.checkpoints, run.info.signature)
        state: dict[str, Any] = found["state"] if found else {"lines": [], "seconds": 0.0}
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in state["lines"]]
        self.earlier: float = state["seconds"]
        self.started = self.last_kept = self.last_shown = time.monotonic()

    @property
    def seconds(self) -> float:
        """Over all attempts."""
        return self.earlier + time.monotonic() - self.started

    def add(self, line: dict[str, Any]) -> None:
        """Note one that is done; between two, the stop flag is looked at.

        Raises:
            InterruptedRunError: the run was asked to stop; what is done is kept.
        """
        self.lines.append(line)
        now, stop = time.monotonic(), self.run.stop.reason
        if stop is not None and len(self.lines) < self.total:
            self.keep()
            raise InterruptedRunError(stop)
        if now - self.last_kept >= CHECKPOINT_SECONDS:
            self.keep()
        if now - self.last_shown >= PROGRESS_SECONDS:
            self._show()

    def keep(self) -> None:
        """Write down all that are done."""
        self.run.directory.may_write()
        state = {"lines": [json.dumps(line) for line in self.lines], "seconds": self.seconds}
        save_checkpoint(self.run.directory.checkpoints, len(self.lines), 0, self.run.info.signature, state)
        self.last_kept = time.monotonic()

    def _show(self) -> None:
        """A heartbeat for people: lines stand where a training has epochs."""
        self.last_shown = time.monotonic()
        done = len(self.lines)
        content = {
            "epoch": done,
            "epochs": self.total,
            "seconds_left": self.seconds * (self.total - done) / done,
            "time": time.time(),
            "pid": os.getpid(),
            "host": os.uname().nodename,
        }
        with suppress(OSError):
            write_whole(self.run.directory.path / "progress.json", json.dumps(content).encode())
