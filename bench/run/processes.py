"""How the process of a run is started on this machine, and how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from bench.records.directory import RecordError


@dataclass(frozen=True)
class Order:
    """A run to be done: its directory, on which device, with how many threads of a CPU."""

    path: Path
    device: str
    threads: int

    @property
    def arguments(self) -> list[str]:
        """Of `python -m bench.run`."""
        return [str(self.path), "--device", self.device]


class Process(Protocol):
    """What a queue knows of a run's process; `subprocess.Popen` is one."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """None while it goes on; then, as in `returncode` from now on, how it ended.

        That is its exit code, minus the number of the signal that ended it, or `UNSEEN`.
        """

    def send_signal(self, sig: int, /) -> None:
        """Nothing happens to a process that has ended."""


UNSEEN = 256
"""In place of an exit code: the process ended while nobody could see how. The run's record says how far it came."""


class Processes(Protocol):
    """Where the processes of a queue come from."""

    def ready(self) -> bool:
        """Whether one can be started now; until then the queue waits."""

    def start(self, order: Order, output: IO[bytes]) -> Process:
        """Start a run. What it says goes to `output`.

        It is in a session of its own (Ctrl-C reaches the queue, which asks its runs to stop) and goes on when the
        queue dies; signals that the caller holds back stay pending until the run listens (`bench.run.stop`).

        Raises:
            OSError: the system has no process for it.
        """

    def close(self) -> None:
        """No more will be started."""


class Fresh:
    """A new Python for every run."""

    def ready(self) -> bool:
        return True

    def start(self, order: Order, output: IO[bytes]) -> Process:
        return subprocess.Popen(
            python("bench.run", *order.arguments),
            env=environment(order.threads),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def close(self) -> None:
        return None


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a process that does runs."""
    return [sys.executable, "-W", "ignore::FutureWarning", "-m", module, *arguments]


def environment(threads: int) -> dict[str, str]:
    """What a run's process finds in its environment."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "DASBENCH_COMMAND": " ".join(["dasbench", *sys.argv[1:]]),
    }


def output_of(path: Path) -> IO[bytes]:
    """Where a run's process writes what it says.

    Raises:
        RecordError: it cannot be written.
    """
    try:
        return open(path / "output.log", "ab")
    except OSError as error:
        raise RecordError(
            f"cannot write {path / 'output.log'}: {error.strerror}; make it writable, or remove it, and run again"
        ) from None
