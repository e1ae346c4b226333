"""Cluster profiles: what a run asks SLURM for. One YAML file for each cluster, or for each way of using it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bench.config import ConfigError, nearest, parse
from bench.names import NAME
from bench.records.run_info import PHASES
from bench.strict_yaml import read_mapping
from methods.domain import check, shown, within

FOLDER = Path(__file__).parent / "clusters"
CONTROLLED = ("array", "signal", "requeue", "open-mode", "output", "error", "job-name", "dependency")
"""sbatch options that launching sets itself."""
OWN_FIELDS = {
    "time": "time", "nodes": "nodes", "ntasks": "processes", "ntasks-per-node": "processes",
    "gpus": "gpus", "gpus-per-node": "gpus", "gpus-per-task": "gpus", "gres": "gpus", "cpus-per-task": "cpus",
    "cpus-per-gpu": "cpus", "mem": "mem", "mem-per-cpu": "mem", "mem-per-gpu": "mem", "partition": "partition",
    "account": "account", "qos": "qos", "constraint": "constraint", "wckey": "wckey", "wrap": "setup",
}  # fmt: skip
"""sbatch options that the profile has fields for: given twice, one would silently win, and the hours would be counted
wrong."""

_GPUS, _CPUS, _PROCESSES = within("[0, 1024]"), within("[1, 4096]"), within("[1, 4096]")
_NODES, _COUNT = within("[1, 100000]"), within("[1, 1000000]")


@dataclass(frozen=True)
class Resources:
    """What one phase asks for instead of the profile's values; None keeps those."""

    partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int | None = field(default=None, metadata=_GPUS)
    cpus: int | None = field(default=None, metadata=_CPUS)
    mem: str | None = None
    time: str | None = None
    nodes: int | None = field(default=None, metadata=_NODES)
    processes: int | None = field(default=None, metadata=_PROCESSES)
    array_parallelism: int | None = field(default=None, metadata=_COUNT)
    runs_per_task: int | None = field(default=None, metadata=_COUNT)


@dataclass(frozen=True)
class Cluster:
    """A cluster profile.

    Attributes:
        gpus: of each node a run gets.
        cpus: of each process of a run.
        mem: of each node a run gets: "16G", "800M".
        time: limit of one job; a run that needs longer is requeued and goes on. "90min", "12h", "2d" or "1-12:00:00".
        nodes, processes: nodes of one run, and its processes on each (one for each GPU it shall use).
        array_parallelism: array tasks at once.
        runs_per_task: runs that one array task does one after the other; more than 1 saves start-up time where runs
            last seconds.
        signal_seconds: how long before the time limit a job is told to write its checkpoint and requeue.
        wckey: workload key; left out unless given.
        setup: shell lines before the run (module load, source, export).
        python: interpreter on the nodes; the one that launches unless given.
        sbatch: further options of sbatch, by their long names without dashes.
        phases: what `search`, `transform` or `train` asks for instead.
        confirm_above: device-hours above which launching asks first.
        sync: bring MLflow up to date at the end of every job; without it, `dasbench sync --follow` does.
    """

    name: str = field(metadata=NAME)
    description: str = ""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: int = field(default=1, metadata=_GPUS)
    cpus: int = field(default=4, metadata=_CPUS)
    mem: str = "16G"
    time: str = "12h"
    nodes: int = field(default=1, metadata=_NODES)
    processes: int = field(default=1, metadata=_PROCESSES)
    array_parallelism: int = field(default=256, metadata=_COUNT)
    runs_per_task: int = field(default=1, metadata=_COUNT)
    signal_seconds: int = field(default=120, metadata=within("[1, 1000000]"))
    wckey: str | None = None
    setup: tuple[str, ...] = ()
    python: str | None = None
    sbatch: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, Resources] = field(default_factory=dict)
    confirm_above: float = field(default=100.0, metadata=within("[0, inf)"))
    sync: bool = True

    def __post_init__(self) -> None:
        for phase in self.phases:
            if phase not in PHASES:
                raise ConfigError(f"cluster {self.name}: unknown phase '{phase}'" + nearest(phase, PHASES))
        check(self, ConfigError)
        for name in ("partition", "account", "qos", "constraint", "wckey", "python", "mem", "time"):
            _refuse_line_breaks(f"cluster {self.name}: {name}", getattr(self, name))
        for key, value in self.sbatch.items():
            where = f"cluster {self.name}: sbatch.{shown(key)}"
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", key):
                raise ConfigError(f"{where} is no option of sbatch; write its long name without dashes")
            if value is not None and not isinstance(value, str | int | float):
                raise ConfigError(f"{where} is {shown(value)}; it must be text, a number, true or nothing")
            _refuse_line_breaks(where, value)
            own = OWN_FIELDS.get(key.replace("_", "-"))
            if own is not None:
                raise ConfigError(f"{where} would contradict what the profile asks for; set '{own}' of the profile")
            if key.replace("_", "-") in CONTROLLED:
                raise ConfigError(f"cluster {self.name}: sbatch.{key} is set by `dasbench launch` itself; remove it")
        for phase in PHASES:
            chosen = self if phase not in self.phases else self.for_phase(phase)
            if self.signal_seconds >= 60 * minutes(chosen.time):
                raise ConfigError(
                    f"cluster {self.name}: signal_seconds ({self.signal_seconds}) must be shorter than time "
                    f"({chosen.time}), or a job is told to stop before it has begun"
                )
            check_memory(chosen.mem)

    def for_phase(self, phase: str) -> Cluster:
        """The profile with what one phase asks for put in."""
        own = self.phases.get(phase, Resources())
        values = {entry.name: getattr(own, entry.name) for entry in fields(own)}
        return replace(self, phases={}, **{name: value for name, value in values.items() if value is not None})


def _refuse_line_breaks(where: str, value: object) -> None:
    """A line of an sbatch file is one option: what follows a line break would be run by the shell."""
    if isinstance(value, str) and not value.isprintable():
        raise ConfigError(f"{where} is {shown(value)}; it must be one line of printable text")


def cluster_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_cluster(name: str) -> Cluster:
    """A cluster profile by its shipped name or the path of a YAML file.

    Raises:
        ConfigError: not found, or anything wrong in it.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(f"unknown cluster '{name}'" + nearest(name, cluster_names()) + "; or a path to a .yaml")
    return parse(Cluster, {"name": path.stem, **read_mapping(path)}, path.name)


def minutes(time: str) -> int:
    """A time limit in minutes, rounded up.

    Raises:
        ConfigError: not a time, or less than a minute.
    """
    found = re.fullmatch(r"(\d+)\s*(min|h|d)", time)
    if found:
        result = int(found[1]) * {"min": 1, "h": 60, "d": 1440}[found[2]]
    else:
        clock = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", time)
        if not clock:
            raise ConfigError(
                f"'{time}' is not a time; write 90min, 12h, 2d or \"1-12:00:00\" (days-hours:minutes:seconds)"
            )
        days, hours, mins, seconds = (int(part or 0) for part in clock.groups())
        result = days * 1440 + hours * 60 + mins + (1 if seconds else 0)
    if result < 1:
        raise ConfigError(f"a time limit of '{time}' is too short; SLURM counts minutes")
    return result


def check_memory(mem: str) -> None:
    """Raises ConfigError when sbatch would not read it as an amount of memory."""
    if not re.fullmatch(r"\d+[MGT]B?", mem):
        raise ConfigError(f"'{mem}' is not an amount of memory; write 800M, 16G or 1T")
