"""What one array task does: its runs one after the other, each from its directory alone; a requeue when told to stop.

The payload that submitit pickles is `RunTask`: paths and signatures, no state. After a requeue, a preemption or a node
failure the same payload finds on disk what is done and the newest checkpoint of what is not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import submitit
import torch

import bench
from bench.device.calibration import calibrate
from bench.device.distributed import Group, join
from bench.records.directory import RecordError, RunDirectory
from bench.run.one_run import BUSY, DONE, FAILED, INTERRUPTED, execute
from bench.run.stop import StopFlag

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
WAIT_SECONDS = 2.0
MARGIN_SECONDS = 15.0
ATTEMPTS = 10


class TaskError(RuntimeError):
    """A task that cannot be done as it was submitted."""


@dataclass(frozen=True)
class RunTask:
    """The runs of one array task.

    Attributes:
        runs: (run directory, signature) of each.
        code: the snapshot of the code that must be running.
        signal_seconds: from SLURM's warning signal to the end of the time limit.
        sync: bring MLflow up to date afterwards.
    """

    runs: tuple[tuple[str, str], ...]
    code: str
    signal_seconds: int
    sync: bool = False

    def __call__(self) -> None:
        """Do the runs. Exits with 0 when all are done, 1 when one failed, 75 when they were interrupted."""
        check_code(self.code)
        job = SlurmJob.from_environment()
        stop = listen(job, self.signal_seconds)
        group = join_processes()
        if group.rank == 0 and not torch.cuda.is_available():
            calibrate_node(Path(self.runs[0][0]))
        codes = []
        for path, signature in self.runs:
            if not any(group.agree(bool(stop.reason))):
                codes.append(self._do(Path(path), signature, stop, group))
        if INTERRUPTED in codes or BUSY in codes or len(codes) < len(self.runs):
            if group.rank == 0:
                job.requeue()
            sys.exit(INTERRUPTED)
        if self.sync and group.rank == 0:
            mirror(Path(self.runs[0][0]).parent)
        sys.exit(FAILED if FAILED in codes else DONE)

    def _do(self, path: Path, signature: str, stop: StopFlag, group: Group) -> int:
        info = RunDirectory(path).read_info()
        if info.signature != signature:
            raise TaskError(f"{path} holds run {info.signature}, not {signature} as submitted; launch again")
        while True:
            code = execute(path, stop=stop, group=group)
            if code != BUSY or any(group.agree(bool(stop.reason))):
                return code
            time.sleep(WAIT_SECONDS)  # an earlier copy, perhaps on a node that is cut off: it ends, or its lease does


@dataclass(frozen=True)
class SlurmJob:
    """The job this process is in.

    Attributes:
        id: "123_4" for an array task: the plain id of an array's last task would stand for the whole array.
        restarts: how often SLURM had started it before.
    """

    id: str
    restarts: int

    @classmethod
    def from_environment(cls) -> SlurmJob:
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
        name = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
        return cls(name, int(os.environ.get("SLURM_RESTART_COUNT", "0")))

    def requeue(self) -> None:
        """Ask SLURM to run this job again, unless it has already decided what becomes of it."""
        for _ in range(ATTEMPTS):
            shown = subprocess.run(["scontrol", "show", "job", "-o", self.id], capture_output=True, text=True)
            words = dict(word.split("=", 1) for word in shown.stdout.split() if "=" in word)
            if shown.returncode == 0:
                # Being cancelled or requeued from outside shows as COMPLETING; a higher count is a later copy.
                if words.get("JobState") != "RUNNING" or words.get("Restarts") != str(self.restarts):
                    print(f"job {self.id} is {words.get('JobState')}: left to SLURM", file=sys.stderr)
                    return
                done = subprocess.run(["scontrol", "requeue", self.id], capture_output=True, text=True)
                if done.returncode == 0:
                    print(f"job {self.id} goes back into the queue", file=sys.stderr, flush=True)
                    return
                shown = done
            print(f"cannot requeue job {self.id}: {shown.stderr.strip()}", file=sys.stderr, flush=True)
            time.sleep(WAIT_SECONDS)


def listen(job: SlurmJob, signal_seconds: int) -> StopFlag:
    """A flag that TERM and USR2 set, also while the main thread is deep in a step.

    The signals stay blocked and a thread waits for them, so that no handler interrupts anything (submitit's, which
    ignores TERM and raises in the middle of a step on USR2, never run). USR2 means the time is almost over: a run that
    does not reach the end of a step in time is requeued as it is and goes on from its newest checkpoint.
    """
    stop = StopFlag()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def wait() -> None:
        while True:
            received = signal.Signals(signal.sigwait(SIGNALS))
            stop.reason = received.name
            print(f"job {job.id}: {received.name}; stopping after this step", file=sys.stderr, flush=True)
            if received == signal.SIGUSR2:
                time.sleep(max(1.0, signal_seconds - MARGIN_SECONDS))
                job.requeue()

    threading.Thread(target=wait, daemon=True).start()
    return stop


def join_processes() -> Group:
    """The group of this job step's processes, through submitit's description of them."""
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        if int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) == 1:
            os.environ["MASTER_ADDR"] = "127.0.0.1"  # a node's name need not resolve
    return join("cuda" if torch.cuda.is_available() else "cpu")


def calibrate_node(path: Path) -> None:
    """Measure what is fast on this node's CPU, if nobody has; a run directory says where and for how many threads.

    Whatever is wrong with the record or the disk, the run itself says better.
    """
    try:
        calibrate(path.resolve().parent.parent, RunDirectory(path).read_info().config["threads"])
    except RecordError as error:
        print(f"warning: {error}; runs take the default choices", file=sys.stderr)


def check_code(code: str) -> None:
    """Raises TaskError when other code is imported than was submitted."""
    running = Path(bench.__file__).resolve().parent.parent
    if running != Path(code).resolve():
        raise TaskError(
            f"the job imports {running} instead of the submitted {code}; a PYTHONPATH set in the profile's setup lines "
            "may hide it, or the folder is not visible on this node"
        )


def mirror(folder: Path) -> None:
    """Bring MLflow up to date; whatever happens there, the records are complete."""
    from bench.tracking import mirror as tracking

    try:
        tracking.sync(folder, tracking.open_store(folder.parent), wait_s=60.0, deadline_s=300.0)
    except tracking.TrackingError as error:
        print(f"warning: {error}", file=sys.stderr)
