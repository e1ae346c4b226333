"""One writer for each run directory, also across nodes: a lease with a heartbeat and a fencing number.

`RUN_DIR/.lease/000007.json` belongs to the process that created it, exclusively; the highest number holds the run.
Taking over means creating the next number, so two takers cannot both succeed, and a holder that was cut off finds a
higher number than its own and stops before it writes. The heartbeat is the file's modification time, which a network
file system takes from the server's clock: clocks of nodes need not agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.config import seconds_of
from bench.records.atomic import write_durably
from bench.records.directory import RecordError

LEASE_SECONDS = seconds_of("DASBENCH_LEASE_SECONDS", 60)
"""Without a heartbeat for this long a holder on another machine counts as dead. It beats six times as often."""


PROBE = ".probe-"


class LeaseHeldError(RuntimeError):
    """Another process is running this run."""


class LeaseLostError(RuntimeError):
    """Another process took this run over; nothing more may be written."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run.

    Attributes:
        host: the machine, or the node as SLURM names it.
        system: boot and process namespace; a pid means something only within one.
        started: the process's start time in clock ticks since boot, so that a pid used again is not taken for it.
        job: SLURM job id, if there is one.
    """

    token: str
    host: str
    system: str
    pid: int
    started: str
    job: str | None = None
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f" (SLURM job {self.job})" if self.job else "")


def this_process() -> Holder:
    pid = os.getpid()
    return Holder(uuid.uuid4().hex, _host(), _system(), pid, start_time(pid) or "", os.environ.get("SLURM_JOB_ID"))


@contextmanager
def hold(path: Path, on_lost: Callable[[], None] = lambda: None, seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
    """Hold the run directory `path` for the body.

    Args:
        on_lost: called from another thread, soon after another process took over.
        seconds: how long a silent holder on another machine keeps its hold.

    Raises:
        LeaseHeldError: another process holds it.
        RecordError: the directory cannot be written.
    """
    try:
        lease = _acquire(path / ".lease", seconds)
    except OSError as error:
        raise RecordError(
            f"cannot write to {path / '.lease'}: {error.strerror or error}; free space or choose another RUNS_DIR"
        ) from error
    stopped = threading.Event()
    thread = threading.Thread(target=_beat, args=(lease, stopped, seconds / 6, on_lost), daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        stopped.set()
        thread.join()
        lease.release()


@dataclass(frozen=True)
class Beat:
    """The last sign of life of a run's holder: who, and how many seconds ago (0 for a live process of this machine)."""

    holder: Holder | None
    age: float


def last_beat(path: Path) -> Beat | None:
    """The last sign of life in a run directory; None when nobody holds it or its holder is known to be dead."""
    newest = _newest(path / ".lease")
    if newest is None:
        return None
    holder = _read(newest)
    if holder is not None and holder.released:
        return None
    if holder is not None and _is_here(holder):
        return Beat(holder, 0.0) if _is_alive(holder) else None
    try:
        return Beat(holder, _age(newest))
    except FileNotFoundError:
        return Beat(holder, 0.0)  # taken over this moment


def holder_of(path: Path, seconds: float = LEASE_SECONDS) -> Holder | None:
    """Who holds the run directory now, as far as can be seen from here; None when nobody does. Writes nothing."""
    beat = last_beat(path)
    return beat.holder if beat is not None and beat.age <= seconds else None


def times_held(path: Path) -> int:
    """How often a run directory has been held: it tells whether somebody came and went. Writes nothing."""
    newest = _newest(path / ".lease")
    return int(newest.stem) if newest else 0


@dataclass
class Lease:
    """A hold on a run directory."""

    file: Path
    holder: Holder

    def check(self) -> None:
        """Raises LeaseLostError when another process took over; called before every write."""
        if _newest(self.file.parent) != self.file:
            raise LeaseLostError(f"another process took over {self.file.parent.parent}; this copy stops")

    def release(self) -> None:
        """Let the next process have it at once. The file stays: its number must not be given out again."""
        with contextlib.suppress(OSError, LeaseLostError):
            self.check()
            write_durably(self.file, json.dumps({**asdict(self.holder), "released": True}).encode())


def _acquire(folder: Path, seconds: float) -> Lease:
    folder.mkdir(exist_ok=True)
    newest = _newest(folder)
    if newest is not None:
        holder = _read(newest)
        with contextlib.suppress(FileNotFoundError):
            if not _is_free(newest, holder, seconds):
                raise LeaseHeldError(f"{holder or 'another process'} is running it")
    number = int(newest.stem) + 1 if newest else 1
    lease = Lease(folder / f"{number:06d}.json", this_process())
    try:
        with open(lease.file, "x") as file:
            file.write(json.dumps(asdict(lease.holder)))
    except FileExistsError:
        raise LeaseHeldError("another process has just started it") from None
    except OSError:
        lease.file.unlink(missing_ok=True)
        raise
    if _newest(folder) != lease.file:  # this process slept since it looked, and others came and went
        lease.file.unlink(missing_ok=True)
        raise LeaseHeldError("another process has just started it")
    for old in folder.glob("[0-9]*.json"):
        if old.stem.isdecimal() and int(old.stem) < number:
            old.unlink(missing_ok=True)
    for probe in folder.glob(f"{PROBE}*"):  # left by a taker that was killed
        with contextlib.suppress(OSError):
            if abs(time.time() - probe.stat().st_mtime) > seconds:
                probe.unlink()
    return lease


def _beat(lease: Lease, stopped: threading.Event, interval: float, on_lost: Callable[[], None]) -> None:
    while not stopped.wait(interval):
        try:
            lease.check()
            os.utime(lease.file)
        except LeaseLostError:
            on_lost()
            return
        except OSError:
            continue  # the file system is away for a moment; every write checks again


def _age(file: Path) -> float:
    """Seconds between a heartbeat and now; a heartbeat of a clock that was ahead is as far away as one in the past.

    This machine's clock may be behind the file system's, which made the heartbeat: then that one is asked, if it can
    be. A reader without write permission takes its own.
    """
    age = time.time() - file.stat().st_mtime
    if age < 0:
        with contextlib.suppress(OSError):
            age = _file_system_time(file.parent) - file.stat().st_mtime
    return abs(age)


def _newest(folder: Path) -> Path | None:
    numbered = [path for path in folder.glob("[0-9]*.json") if path.stem.isdecimal()]
    return max(numbered, key=lambda path: int(path.stem), default=None)


def _read(file: Path) -> Holder | None:
    """The holder a lease file names; None when it is being written this moment, or its writer died doing so."""
    try:
        return Holder(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_free(file: Path, holder: Holder | None, seconds: float) -> bool:
    if holder is not None and holder.released:
        return True
    if holder is not None and _is_here(holder):
        return not _is_alive(holder)
    before = file.stat().st_mtime
    silence = _file_system_time(file.parent) - before
    if silence >= -seconds:
        return silence > seconds
    time.sleep(seconds / 3)  # the clock was ahead when this was written: does the heart beat now?
    return file.stat().st_mtime == before


def is_live_here(holder: Holder) -> bool:
    """Whether the holder is a live process of this machine."""
    return _is_here(holder) and _is_alive(holder)


def has_python_parent(pid: int) -> bool:
    """Whether a process was started by a Python program that still lives (a queue), and not left to the system."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        return os.readlink(f"/proc/{parent}/exe") == os.readlink("/proc/self/exe")
    except OSError:
        return False


def _is_here(holder: Holder) -> bool:
    """Whether the holder's pid means something to this process."""
    return (holder.host, holder.system) == (_host(), _system())


def _is_alive(holder: Holder) -> bool:
    if not holder.started:  # a system without /proc
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return start_time(holder.pid) == holder.started


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat; None when there is no such process, it is a zombie, or there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _host() -> str:
    return os.environ.get("SLURMD_NODENAME") or platform.node()


def _system() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.system()


def _file_system_time(folder: Path) -> float:
    """Now, by the clock of the file system that holds `folder`."""
    probe = folder / f"{PROBE}{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
