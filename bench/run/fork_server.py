"""A process that has imported what a run needs, and becomes a run in each of its forks.

    python -m bench.run.fork_server FILE_DESCRIPTOR

Importing torch is most of what a short run costs. The queue starts one such process and asks it, over a socket, for a
fork for each run, and how a fork ended (`bench.run.warm` is the queue's side). It only imports: it starts no thread, so
that libgomp's, MKL's and autograd's pools begin in the fork as they do in a new process; it does not touch a GPU, which
no fork could use after that; it draws no random number. It looks whether that is so, and serves only if it is.

A fork returns from `serve` into the same last line as `python -m bench.run`, with the session, arguments and output of
a process of its own. It does not need this process any more, which ends with the queue.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from bench.device import compiler

compiler.keep_out()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from bench.device.engine import code_commit  # noqa: E402
from bench.device.packages import fvcore_obstacle  # noqa: E402
from bench.run.one_run import main  # noqa: E402
from methods.parts import compiled  # noqa: E402

LATER = ("bench.run.phases.search", "bench.run.phases.train", "methods.gradient.bilevel_search", "numpy.random")
"""What most runs import when they come to it, and what brings most of the rest with it."""
DRIVERS = ("/dev/nvidia", "/dev/dxg", "/dev/kfd")
"""What a process has open that has initialised a GPU's driver, whoever did it."""
LARGEST = 1 << 16
"""Bytes of a message: a path, and little else."""
LONGEST_NAME = 15
"""Characters that Linux keeps of a process's name."""
READY = {"ready": True}


def serve(channel: socket.socket) -> list[str]:
    """Answer the queue until it is gone. Returns in forks only: with a run's arguments."""
    channel.send(json.dumps(READY).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LARGEST, 1)
        if not message:
            os._exit(0)  # the queue has ended: nothing here is to be written or tidied up
        request = json.loads(message)
        if "ended" in request:
            answer = {"code": _code_of(request["ended"])}
        else:
            (output,) = descriptors
            pid = _fork()
            if pid == 0:
                channel.close()
                return _become(request["start"], output)
            os.close(output)
            answer = {"pid": pid}
        channel.send(json.dumps(answer).encode())


def _fork() -> int | None:
    """As os.fork; None where the system has no process for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return os.fork()
    except OSError:
        return None


def _code_of(pid: int) -> int | None:
    """How a fork ended; None while it goes on. It keeps its pid until this was asked."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _become(arguments: list[str], output: int) -> list[str]:
    """Make this fork what `python -m bench.run` is when it has imported everything."""
    os.setsid()
    said = os.pread(2, os.fstat(2).st_size, 0)  # warnings of imports: this run's as much as any other's
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.write(2, said)
    Path("/proc/self/comm").write_text(Path(arguments[0]).name[:LONGEST_NAME])  # `top` shows which run it is
    sys.argv = [str(Path(__file__).with_name("__main__.py")), *arguments]
    np.random.seed()  # each process has a state of its own until a run seeds it
    return arguments


def obstacle() -> str | None:
    """Why forks of this process would not be as good as new processes; None when they are."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"imports started {threads - 1} threads, which a fork would not have"
    opened = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    if torch.cuda.is_initialized() or any(path.startswith(DRIVERS) for path in opened):
        return "an import initialised CUDA, which a fork cannot use"
    return None


def warm_up() -> None:
    """Import, have the compiled loops, and note which commit the code is of that was imported."""
    for name in LATER:
        import_module(name)
    if compiled.why_not() is None:
        compiled.load()
    fvcore_obstacle()
    code_commit()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page of what is shared


def leave(code: int) -> NoReturn:
    """End a fork as `sys.exit` would, without taking the interpreter apart, which copies all that is shared."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    warm_up()
    reason = obstacle()
    if reason is not None:
        sys.exit(f"fork server: {reason}")
    leave(main(serve(socket.socket(fileno=int(sys.argv[1])))))
