"""What sbatch is given for an array, through submitit: resources, signals, dependencies, the lines before a run."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import submitit

from bench.config import ConfigError
from methods.domain import shown
from slurm.arrays import Array
from slurm.cluster import Cluster, minutes
from slurm.submissions import FOLDER_NAME

KEPT_VARIABLES = (
    "DATA_ROOT",
    "MLFLOW_TRACKING_URI",
    "DASBENCH_CALIBRATION",
    "DASBENCH_CHECKPOINT_SECONDS",
    "DASBENCH_LEASE_SECONDS",
)
"""Handed on explicitly: a cluster may not pass the submitting shell's environment to jobs."""


def job_name(folder: Path, array: Array, token: str, number: int) -> str:
    return f"{folder.name}-{array.phase}-{token}-{number}"


class Executor(submitit.SlurmExecutor):
    """submitit's, also where there is no SLURM: to print what would be submitted."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def make_executor(
    folder: Path, cluster: Cluster, array: Array, name: str, dependency: str | None, code: Path, commit: str
) -> Executor:
    """A submitit executor for one array."""
    if "%" in str(folder) or not str(folder).isprintable():
        raise ConfigError(
            f"SLURM would read a '%' or a line break in {shown(str(folder))} as something else; choose another RUNS_DIR"
        )
    own = cluster.for_phase(array.phase)
    python = own.python or shlex.quote(sys.executable)
    hold = shlex.quote(str(code / "slurm" / "hold_signals.py"))
    executor = Executor(folder / FOLDER_NAME / "jobs" / "%j", python=f"{python} -S {hold} {python}")
    executor.update_parameters(
        job_name=name,
        partition=own.partition,
        account=own.account,
        qos=own.qos,
        constraint=own.constraint,
        nodes=own.nodes,
        ntasks_per_node=own.processes,
        gpus_per_node=own.gpus or None,
        cpus_per_task=own.cpus,
        mem=own.mem,
        time=minutes(own.time),
        signal_delay_s=own.signal_seconds,
        array_parallelism=own.array_parallelism,
        # a process that dies must not leave the others waiting for it
        srun_args=["--kill-on-bad-exit=1"] if own.nodes * own.processes > 1 else None,
        wckey=own.wckey,
        dependency=dependency,
        setup=setup_lines(own, array, code, commit),
        additional_parameters=additional_parameters(own, dependency),
    )
    return executor


def additional_parameters(cluster: Cluster, dependency: str | None) -> dict[str, Any]:
    own: dict[str, Any] = {"requeue": True}
    if dependency:
        own["kill-on-invalid-dep"] = "yes"  # or it would wait for ever for a run that failed
    return own | cluster.sbatch


def setup_lines(cluster: Cluster, array: Array, code: Path, commit: str) -> list[str]:
    """Shell lines before the run: the profile's, then ours, so that a module cannot hide the snapshot."""
    threads = max(info.config["threads"] for info in array.runs)
    variables = {
        "PYTHONPATH": str(code),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "DASBENCH_COMMIT": commit,
        "DASBENCH_COMMAND": " ".join(["dasbench", *sys.argv[1:]]),
        **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
    }
    if "DATA_ROOT" in variables:
        variables["DATA_ROOT"] = str(Path(variables["DATA_ROOT"]).absolute())
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value]
    return [*cluster.setup, *exports]


def sbatch_text(executor: Executor, tasks: int) -> str:
    """The file that submitit gives to sbatch."""
    if tasks > 1:
        executor.parameters["map_count"] = tasks
    text = executor._make_submission_file_text(executor._submitit_command_str, "")
    executor.parameters.pop("map_count", None)
    return str(text)
