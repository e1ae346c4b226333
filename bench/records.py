"""Run directories: the truth about every run, as files that are only ever appended to or replaced whole.

RUNS_DIR/<experiment>-<profile>/<phase>-<label>[-s<search seed>][-r<retrain seed>]-<signature>/
    run.json            what was asked (frozen config), by what (environment), and how it stands (status)
    metrics.jsonl       one line per epoch: phase, epoch, step, values, wall and device seconds
    architecture.json   a search's or transform's answer (+ architecture.safetensors with masks)
    given/              for a training of an architecture from a file: its copy, so that the file may move
    checkpoints/        atomic, last two kept
    result.json         final metrics and costs; written once, last
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from methods.architecture import Architecture

SCHEMA_VERSION = 1
PHASES = ("search", "transform", "train")
STATUSES = ("pending", "running", "done", "failed", "interrupted")


class RecordError(RuntimeError):
    """A record that cannot be read or written; the message names the file and the next step."""


@dataclass
class RunInfo:
    """The content of run.json.

    Attributes:
        label: the row of the table this run belongs to; unique in its experiment.
        method: registered method name, or "published" for a published genotype.
        phase: "search" (finds an architecture), "transform" (makes a trained network smaller) or "train".
        inheritance: how a train run starts: "scratch", or "finetune" from a transform's inherited weights.
        search_seed: None for a published or given architecture, which nobody searched here.
        retrain_seed: None for a search.
        signature: hash of `config`; two runs with one signature are the same run.
        config: everything that decides the result, as JSON values.
        recipe: name and hash of the training recipe ({"name": ..., "hash": ...}); empty for a search.
        needs: signatures of the runs whose result this one reads.
        given: the file that the architecture was read from; for people, nothing depends on where it lay.
        environment: commit, dirty, versions, device, host, command, ...
        error: for a failed run, the last line of its error.
    """

    experiment: str
    profile: str
    label: str
    method: str
    phase: str
    dataset: str
    search_seed: int | None
    retrain_seed: int | None
    signature: str
    config: dict[str, Any]
    inheritance: str = "scratch"
    recipe: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    given: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    status: str = "pending"
    error: str | None = None
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    schema: int = SCHEMA_VERSION

    @property
    def name(self) -> str:
        """The run directory's name."""
        parts = [self.phase, self.label]
        parts += ["finetune"] if self.inheritance == "finetune" else []
        parts += [] if self.search_seed is None else [f"s{self.search_seed}"]
        parts += [] if self.retrain_seed is None else [f"r{self.retrain_seed}"]
        return "-".join([*parts, self.signature[:10]])


def write_atomically(path: Path, text: str) -> None:
    """Temporary name, fsync, replace: a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecordError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another RUNS_DIR"
        ) from error


def make_folder(path: Path) -> None:
    """A folder for records, with those it lies in.

    Raises:
        RecordError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"cannot create {path}: {error.strerror}; set RUNS_DIR to a folder you can write to"
        ) from error


class RunDirectory:
    """Reads and writes one run's files.

    Args:
        may_write: called before every write; raises when another process has taken this run over.
    """

    def __init__(self, path: Path, may_write: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.may_write = may_write

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def given(self) -> Path:
        return self.path / "given"

    def create(self, info: RunInfo) -> None:
        """Make the directory, copy a given architecture into it, and write run.json.

        Raises:
            ArchitectureError: the given architecture cannot be read.
        """
        make_folder(self.path)
        if info.given is not None:
            Architecture.load(Path(info.given)).save(self.given)
        info.created = info.created or time.time()
        self.write_info(info)

    def exists(self) -> bool:
        return (self.path / "run.json").exists()

    def write_info(self, info: RunInfo) -> None:
        self.may_write()
        write_atomically(self.path / "run.json", json.dumps(asdict(info), indent=1) + "\n")

    def read_info(self) -> RunInfo:
        """Raises RecordError when run.json is missing, damaged or of another schema."""
        document = self._read("run.json")
        if document.get("schema") != SCHEMA_VERSION:
            raise RecordError(
                f"{self.path / 'run.json'}: schema {document.get('schema')}, this version reads {SCHEMA_VERSION}"
            )
        try:
            return RunInfo(**document)
        except TypeError as error:
            raise RecordError(f"{self.path / 'run.json'}: {error}") from None

    def append_metrics(self, epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float) -> None:
        """One line of metrics.jsonl.

        Args:
            values: numbers, or lists of numbers, by name ("train/loss", "valid/accuracy", ...).
            wall_s: wall seconds of this run so far, over all its attempts.
            device_s: the same in device seconds (wall seconds times devices held).
        """
        self.may_write()
        line = {"epoch": epoch, "step": step, "time": time.time(), "wall_s": wall_s, "device_s": device_s}
        try:
            with open(self.path / "metrics.jsonl", "a") as file:
                file.write(json.dumps({**line, "values": dict(values)}) + "\n")
                file.flush()
        except OSError as error:
            raise RecordError(f"cannot append to {self.path / 'metrics.jsonl'}: {error.strerror}") from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """All complete lines; a last line cut short by a kill is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return list(_complete(lines, self.path / "metrics.jsonl"))

    def truncate_metrics(self, epochs: int) -> None:
        """Drop lines of epoch `epochs` and later: a resumed run writes them again."""
        self.may_write()
        kept = [line for line in self.read_metrics() if line["epoch"] < epochs]
        if (self.path / "metrics.jsonl").exists():
            write_atomically(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def write_result(self, result: Mapping[str, Any]) -> None:
        self.may_write()
        write_atomically(self.path / "result.json", json.dumps({"schema": SCHEMA_VERSION, **result}, indent=1) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """The result, or None while there is none.

        Raises:
            RecordError: it is damaged.
        """
        return self._read("result.json") if (self.path / "result.json").exists() else None

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError:
            raise RecordError(f"no {name} in {self.path}") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} is damaged ({error}); remove the run directory to run it again") from None
        if not isinstance(document, dict):
            raise RecordError(f"{path} is damaged (not a JSON object); remove the run directory to run it again")
        return document


class SilentDirectory(RunDirectory):
    """For the processes of a run that do not write: they read like the others, and their writes do nothing."""

    def write_info(self, info: RunInfo) -> None: ...

    def append_metrics(
        self, epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float
    ) -> None: ...

    def truncate_metrics(self, epochs: int) -> None: ...

    def write_result(self, result: Mapping[str, Any]) -> None: ...


def _complete(lines: list[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            if number + 1 < len(lines):
                raise RecordError(
                    f"{path}: line {number + 1} is damaged; remove the run directory to run it again"
                ) from None


@dataclass
class Record:
    """One run as read back: what was asked and, when done, what came out."""

    path: Path
    info: RunInfo
    result: dict[str, Any] | None

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.path)


def read_records(root: Path) -> tuple[list[Record], list[str]]:
    """All runs below an experiment's folder, and one message for each that could not be read.

    A corrupt record among good ones is named and left out; it does not stop the others.
    """
    records, problems = [], []
    for path in sorted(root.glob("*/run.json")):
        directory = RunDirectory(path.parent)
        try:
            records.append(Record(path.parent, directory.read_info(), directory.read_result()))
        except RecordError as error:
            problems.append(str(error))
    return records, problems
