"""What a fault scenario needs: a launch, a watch that checks that status tells the truth, and faults to inject."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.experiment import load_experiment, plan
from bench.records import RunInfo
from slurm.cluster import Cluster, load_cluster
from slurm.launch import Launch, launch
from slurm.status import Status, status
from tests.bench.test_resume import outcome

HERE = Path(__file__).parent
EXPERIMENT = HERE / "faults.yaml"
TEST_ROOT = Path(os.environ.get("SLURM_TEST_ROOT", "/var/lib/slurm-test"))
UP = HERE.parent.parent / "slurm" / "testing" / "up.sh"


def has_cluster() -> bool:
    if shutil.which("sbatch") is None:
        return False
    return subprocess.run(["scontrol", "ping"], capture_output=True, text=True).stdout.count(" UP") > 0


def cluster_is_ours() -> bool:
    """Whether its daemons may be killed and its configuration changed."""
    return (TEST_ROOT / "laid-out").exists() and os.geteuid() == 0


def profile(**changes: Any) -> Cluster:
    return replace(load_cluster(os.environ.get("DASBENCH_TEST_CLUSTER", str(HERE / "cluster.yaml"))), **changes)


def runs_of(profile_name: str, *rows: str, phases: tuple[str, ...] = ("search", "transform", "train")) -> list[RunInfo]:
    planned = plan(load_experiment(str(EXPERIMENT)), profile_name, rows or None)
    return [info for info in planned if info.phase in phases]


@dataclass
class Scenario:
    """An experiment's folder on the cluster, watched from its launch to its end.

    `watch` looks at the status again and again and checks every answer against what a test knows: a run with a result
    is done and stays done; a run without one is never called done; and as nothing here is beyond SLURM's own rerun,
    none may be called failed or lost, unless the test says so.
    """

    folder: Path
    planned: list[RunInfo]
    cluster: Cluster
    may_be: frozenset[str] = frozenset({"pending", "running", "done"})
    history: list[dict[str, str]] = field(default_factory=list)
    finished: dict[str, int] = field(default_factory=dict)

    def launch(self) -> Launch:
        return launch(self.folder, self.planned, self.cluster)

    def look(self) -> Status:
        before = self._results()
        now = status(self.folder)
        after = self._results()
        states = {run.record.info.name: run.state for run in now.runs}
        for name, state in states.items():
            assert state in self.may_be, (
                f"{name} is called {state}: {[r for r in now.runs if r.record.info.name == name]}"
            )
            assert state == "done" or name not in before, f"{name} has a result and is called {state}"
            assert state != "done" or name in after, f"{name} has no result and is called done"
        for name, written in after.items():
            assert self.finished.setdefault(name, written) == written, f"{name} was done twice"
        self.history.append(states)
        return now

    def watch(self, until: Callable[[Status], bool], seconds: float = 180.0) -> Status:
        deadline = time.monotonic() + seconds
        while True:
            now = self.look()
            if until(now):
                return now
            assert time.monotonic() < deadline, f"after {seconds} s: {self.history[-1]}\n{self.logs()}"
            time.sleep(0.5)

    def until_done(self, seconds: float = 240.0) -> None:
        self.watch(lambda now: now.count("done") == len(self.planned), seconds)

    def until_checkpoint(self) -> Status:
        """Until a run is running and has a checkpoint to lose."""
        return self.watch(lambda now: any(now_running(run) and checkpoints(run.record.path) for run in now.runs))

    def logs(self) -> str:
        files = sorted((self.folder / "slurm" / "jobs").glob("*/*log.*"))
        return "\n".join(f"--- {file}\n{file.read_text()[-1500:]}" for file in files)

    def check_equal(self, reference: Callable[[RunInfo], dict[str, Any]]) -> None:
        """No run lost, none done twice, and every one with the bits of an uninterrupted local run."""
        records = {run.record.info.name: run.record for run in status(self.folder).runs}
        assert sorted(records) == sorted(info.name for info in self.planned)
        for info in self.planned:
            assert outcome(records[info.name].directory) == reference(info), f"{info.name} has other bits"

    def _results(self) -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in self.folder.glob("*/result.json")}


def now_running(run: Any) -> bool:
    return run.state == "running" and run.progress is not None


def checkpoints(path: Path) -> list[Path]:
    return list((path / "checkpoints").glob("epoch-*.pt"))


# -- faults


def command(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def node_of(job: str) -> str:
    return command("squeue", "-h", "-j", job, "-o", "%N").strip()


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


def repair() -> None:
    """Start what is dead, and put nodes back to service."""
    done = subprocess.run([str(UP)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def restart_controller() -> None:
    pid = int((TEST_ROOT / "run" / "slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.1)
    repair()


def set_user_signal(on: bool) -> None:
    """Whether a preemption sends the signal of --signal (preempt_send_user_signal) or TERM."""
    conf = Path("/etc/slurm/slurm.conf")
    lines = [line for line in conf.read_text().splitlines() if not line.startswith("SlurmctldParameters=")]
    conf.write_text("\n".join([*lines, *["SlurmctldParameters=preempt_send_user_signal"] * on]) + "\n")
    command("scontrol", "reconfigure")


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
