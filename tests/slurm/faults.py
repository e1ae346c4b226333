"""The cluster of the fault suite, and what is done to it: nodes that die, a controller that is away, preemptions."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEST_ROOT = Path(os.environ.get("SLURM_TEST_ROOT", "/var/lib/slurm-test"))
CONF = Path("/etc/slurm/slurm.conf")
UP = Path(__file__).parent.parent.parent / "slurm" / "testing" / "up.sh"


def has_cluster() -> bool:
    if shutil.which("sbatch") is None:
        return False
    return subprocess.run(["scontrol", "ping"], capture_output=True, text=True).stdout.count(" UP") > 0


def cluster_is_ours() -> bool:
    """Whether its daemons may be killed and its configuration changed."""
    return (TEST_ROOT / "laid-out").exists() and os.geteuid() == 0


# -- who asks SLURM while the controller is away: only the test that stopped it

_stopped_here = False


@contextmanager
def asking() -> Iterator[None]:
    """For everything that needs an answer from SLURM: waits while a test beside this one has stopped the controller."""
    if _stopped_here or not cluster_is_ours():
        yield
        return
    with open(TEST_ROOT / "controller.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def controller_down() -> Iterator[None]:
    """slurmctld is stopped for the body, and started again after it.

    Only a moment: a step that ends meanwhile tries to say so again after a minute. For the same reason it does not
    begin while a job is completing, and commands are told to give it up after a second instead of ten.
    """
    global _stopped_here
    hasty, before = TEST_ROOT / "hasty.conf", os.environ.get("SLURM_CONF")
    with open(TEST_ROOT / "controller.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        while subprocess.run(["squeue", "-h", "-t", "CG"], capture_output=True, text=True).stdout:
            time.sleep(0.1)
        pid = int((TEST_ROOT / "run" / "slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        while _is_alive(pid):
            time.sleep(0.1)
        hasty.write_text(CONF.read_text() + "MessageTimeout=2\n")
        os.environ["SLURM_CONF"], _stopped_here = str(hasty), True
        try:
            yield
        finally:
            os.environ.pop("SLURM_CONF")
            os.environ |= {} if before is None else {"SLURM_CONF": before}
            _stopped_here = False
            _start_what_is_dead()


@asking()
def command(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@asking()
def repair() -> None:
    """Start what is dead, and put nodes back to service."""
    _start_what_is_dead()


def _start_what_is_dead() -> None:
    done = subprocess.run([str(UP)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- jobs and nodes


def node_of(job: str) -> str:
    return command("squeue", "-h", "-t", "all", "-j", job, "-o", "%N").strip()


def state_of(job: str) -> str:
    return command("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()


def restarts(job: str) -> int:
    found = re.search(r"Restarts=(\d+)", command("scontrol", "show", "job", "-o", job))
    assert found
    return int(found[1])


def preempt(node: str, seconds: int = 2) -> None:
    """A job of the urgent partition takes the whole node; returns when it has ended."""
    cpus = command("scontrol", "show", "node", node).partition("CPUTot=")[2].split()[0]
    script = ["--wrap", f"sleep {seconds}", "-o", "/dev/null", "--mem=10M"]
    command("sbatch", "--wait", "-p", "urgent", "-w", node, "-c", cpus, *script)


def crash(node: str) -> None:
    """The node dies: its slurmd, the job steps and their processes get SIGKILL at once, and SLURM learns of it."""
    slurmd = int((TEST_ROOT / "run" / f"slurmd-{node}.pid").read_text())
    raw = command("squeue", "-h", "-t", "R,CG", "-w", node, "-o", "%A").split()
    steps = [pid for pid, words in _processes().items() if any(words.startswith(f"slurmstepd: [{job}.") for job in raw)]
    for pid in [slurmd, *steps, *_descendants(steps)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    command("scontrol", "update", f"nodename={node}", "state=down", "reason=crash")


def cut_off(node: str) -> None:
    """The node loses its slurmd only: SLURM believes it dead while the job lives on."""
    os.kill(int((TEST_ROOT / "run" / f"slurmd-{node}.pid").read_text()), signal.SIGKILL)
    command("scontrol", "update", f"nodename={node}", "state=down", "reason=cut off")


def set_user_signal(on: bool) -> None:
    """Whether a preemption sends the signal of --signal (preempt_send_user_signal) or TERM."""
    lines = [line for line in CONF.read_text().splitlines() if not line.startswith("SlurmctldParameters=")]
    CONF.write_text("\n".join([*lines, *["SlurmctldParameters=preempt_send_user_signal"] * on]) + "\n")
    command("scontrol", "reconfigure")


# -- processes


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent to a process that has not taken it yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("ShdPnd:")[2].split()[0], 16) >> (number - 1) & 1)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _processes() -> dict[int, str]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def _descendants(pids: list[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, left = [], list(pids)
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found
