"""Runs as forks of one process that has imported everything: the queue's side of `bench.run.fork_server`.

What a fork does and leaves behind is what a new process does and leaves behind; it begins some seconds of a processor
earlier. Where that cannot be, or the server is gone, runs are new processes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from bench.records.lease import start_time
from bench.records.run_info import RunInfo
from bench.run.fork_server import LARGEST, READY
from bench.run.processes import UNSEEN, Fresh, Order, Process, Processes, environment, python
from bench.run.stop import held_back

SILENT_SECONDS = 60.0
"""A server that does not answer for so long, or does not begin to within ten times as long, is given up."""
SWITCH = "DASBENCH_FORK_SERVER"
"""Set to 0, every run is a new process."""


def processes_for(todo: Sequence[RunInfo], devices: Sequence[str]) -> Processes:
    """Forks where several runs follow each other and a fork is safe, else new processes.

    With more than one thread numpy's BLAS starts some when it is imported, and its runs are long anyway.
    """
    worthwhile = len(todo) > len(devices) and all(info.config["threads"] == 1 for info in todo)
    wanted = os.environ.get(SWITCH) != "0"
    return Forks() if worthwhile and wanted and sys.platform == "linux" else Fresh()


@dataclass
class Forks:
    """Forks of a server, which is started when the queue first asks whether it is ready.

    Attributes:
        channel: to the server; None before it is started, and for ever after it was given up.
        warm: it has imported everything.
    """

    server: subprocess.Popen[bytes] | None = None
    channel: socket.socket | None = None
    warm: bool = False
    given_up: bool = False
    begun: float = 0.0
    fresh: Fresh = field(default_factory=Fresh)

    def ready(self) -> bool:
        if self.channel is None and not self.given_up:
            self._begin()
        if self.channel is not None and not self.warm:
            if select.select([self.channel], [], [], 0)[0]:
                self.warm = self._answer() == READY
            elif time.monotonic() - self.begun > 10 * SILENT_SECONDS:
                self.close()
        return self.warm or self.given_up

    def start(self, order: Order, output: IO[bytes]) -> Process:
        answer = self.ask({"start": order.arguments}, output)
        if answer is None or answer["pid"] is None:
            return self.fresh.start(order, output)
        return Fork(answer["pid"], start_time(answer["pid"]), self)

    def ask(self, request: dict[str, Any], *files: IO[bytes]) -> dict[str, Any] | None:
        """The server's answer; None where there is no server (any more)."""
        if self.channel is None:
            return None
        try:
            socket.send_fds(self.channel, [json.dumps(request).encode()], [file.fileno() for file in files])
        except OSError:
            self.close()
            return None
        return self._answer()

    def close(self) -> None:
        """Give the server up: its forks go on, and what is started from now on is a new process."""
        self.given_up, self.warm = True, False
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def _begin(self) -> None:
        self.begun = time.monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(SILENT_SECONDS)
        said = os.memfd_create("said while importing")
        command = python("bench.run.fork_server", str(theirs.fileno()))
        try:
            with theirs, held_back():
                self.server = subprocess.Popen(
                    command,
                    env=environment(1),
                    pass_fds=[theirs.fileno()],
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            self.channel = ours
        except OSError:
            ours.close()
            self.given_up = True
        finally:
            os.close(said)

    def _answer(self) -> dict[str, Any] | None:
        assert self.channel is not None
        try:
            answer = self.channel.recv(LARGEST)
        except OSError:
            answer = b""
        if not answer:
            self.close()
            return None
        return dict(json.loads(answer))


@dataclass
class Fork:
    """A run's process, whose parent is the server.

    Attributes:
        started: its start time, by which it is known from a later process with the same pid.
    """

    pid: int
    started: str | None
    forks: Forks
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            answer = self.forks.ask({"ended": self.pid})
            if answer is not None:
                self.returncode = answer["code"]
            elif not self._lives():  # the server is gone
                self.returncode = UNSEEN
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        """Asks nothing of the server: a signal handler may come here while an answer is awaited."""
        if self._lives():
            os.kill(self.pid, sig)

    def _lives(self) -> bool:
        return self.started is not None and start_time(self.pid) == self.started
