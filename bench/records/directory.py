"""Run directories: the truth about every run, as files that are only ever appended to or replaced whole.

RUNS_DIR/<experiment>-<profile>/<phase>-<label>[-s<search seed>][-r<retrain seed>]-<signature>/
    run.json            what was asked (frozen config), by what (environment), and how it stands (status)
    begun.json          the same as the last attempt began; read only when run.json is gone
    metrics.jsonl       one line per epoch: phase, epoch, step, values, wall and device seconds
    architecture.json   a search's or transform's answer (+ architecture.safetensors with masks)
    given/              for a training of an architecture from a file: its copy, so that the file may move
    checkpoints/        atomic, last two kept
    result.json         final metrics and costs, and run.json once more; written once, last

A valid result is what makes a run done, whatever run.json says of it; see `read_record`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.records.atomic import write_durably
from bench.records.metrics import complete_lines, metrics_line
from bench.records.run_info import FITTED_NAME, SCHEMA_VERSION, RecordError, RunInfo, parse_info
from bench.records.soundness import result_fault, without_nan
from methods.architecture import Architecture

REDO = "remove that file and run again: the run finishes anew from its checkpoint"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as `bench.records.atomic.write_durably` does.

    Raises:
        RecordError: it cannot be written.
    """
    try:
        write_durably(path, text.encode())
    except OSError as error:
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


def directories(folder: Path, planned: Iterable[RunInfo]) -> dict[str, RunDirectory]:
    """The run directory of each planned run by signature: the one that is there, under whatever row it was made."""
    there = {path.name.rpartition("-")[2]: path for path in folder.glob("*-*") if path.is_dir()}
    return {info.signature: RunDirectory(there.get(info.signature[:10], folder / info.name)) for info in planned}


def sharing(infos: Iterable[RunInfo]) -> list[str]:
    """A sentence for each set of rows that came out with one configuration and so share their trainings."""
    groups = {tuple(info.rows): None for info in infos if info.phase == "train" and info.also}
    return [
        f"'{first}' and {' and '.join(map(repr, others))} have the same configuration: they share the runs of '{first}'"
        for first, *others in groups
    ]


def save_architecture(architecture: Architecture, folder: Path) -> None:
    """As `Architecture.save`, each file replaced as `bench.records.atomic.write_durably` does.

    Raises:
        RecordError: they cannot be written.
    """
    make_folder(folder)
    for name, content in architecture.to_files().items():
        try:
            write_durably(folder / name, content)
        except OSError as error:
            raise RecordError(f"cannot write {folder / name}: {error.strerror or error}; free space") from error


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
        """Make the directory, copy what is given into it (an architecture, a fitted latency), and write run.json; as it
        was, if only that file is gone from a run that has begun.

        Raises:
            ArchitectureError: the given architecture cannot be read.
            OSError: the fitted latency cannot be.
        """
        make_folder(self.path)
        if info.given is not None:
            save_architecture(Architecture.load(Path(info.given)), self.given)
        if info.measured is not None:
            write_durably(self.path / FITTED_NAME, Path(info.measured).read_bytes())
        earlier = None if self.exists() else self.recovered_info()
        if earlier is not None and earlier.signature == info.signature:
            self.write_info(earlier)
            return
        info.created = info.created or time.time()
        self.write_info(info)

    def exists(self) -> bool:
        return (self.path / "run.json").exists()

    def write_info(self, info: RunInfo) -> None:
        self.may_write()
        write_atomically(self.path / "run.json", json.dumps(asdict(info), indent=1) + "\n")

    def begin(self, info: RunInfo) -> None:
        """Note in run.json, and once more beside it, that an attempt begins."""
        self.write_info(info)
        self.may_write()
        write_atomically(self.path / "begun.json", json.dumps(asdict(info), indent=1) + "\n")

    def recovered_info(self) -> RunInfo | None:
        """run.json as it can be told without it: from the result, else from the last attempt's beginning."""
        for name, part in (("result.json", "run"), ("begun.json", None)):
            with contextlib.suppress(RecordError):
                document = self._read(name)
                return parse_info(document if part is None else document.get(part) or {}, f"{self.path / name}")
        return None

    def read_info(self) -> RunInfo:
        """Raises RecordError when run.json is missing, damaged or of another schema."""
        return parse_info(self._read("run.json"), str(self.path / "run.json"))

    def append_metrics(self, epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float) -> str:
        """One line of metrics.jsonl; returns it.

        Args:
            values: numbers, or lists of numbers, by name ("train/loss", "valid/accuracy", ...).
            wall_s: wall seconds of this run so far, over all its attempts.
            device_s: the same in device seconds (wall seconds times devices held).
        """
        self.may_write()
        line = metrics_line(epoch, step, values, wall_s, device_s)
        try:
            with open(self.path / "metrics.jsonl", "a") as file:
                file.write(line + "\n")
                file.flush()
        except OSError as error:
            raise RecordError(f"cannot append to {self.path / 'metrics.jsonl'}: {error.strerror}") from error
        return line

    def settle_metrics(self) -> None:
        """What was appended is on the disk when this returns."""
        with contextlib.suppress(FileNotFoundError), open(self.path / "metrics.jsonl", "rb") as file:
            os.fsync(file.fileno())

    def read_metrics(self, skip_damaged: bool = False) -> list[dict[str, Any]]:
        """All complete lines; a last line cut short by a kill is left out.

        Args:
            skip_damaged: leave out every line that is damaged, for who has another source of them.

        Raises:
            RecordError: a line is damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RecordError(f"{path} cannot be read ({error.strerror})") from None
        return list(complete_lines(lines, path, skip_damaged))

    def truncate_metrics(self, epochs: int) -> None:
        """Drop lines of epoch `epochs` and later: a resumed run writes them again."""
        kept = [line for line in self.read_metrics(skip_damaged=True) if line["epoch"] < epochs]
        self.write_metrics([json.dumps(line) for line in kept])

    def write_metrics(self, lines: Sequence[str]) -> None:
        """Make these the lines of metrics.jsonl."""
        self.may_write()
        path, text = self.path / "metrics.jsonl", "".join(line + "\n" for line in lines)
        if path.exists() or text:
            write_atomically(path, text)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Raises RecordError when a run cannot have this result."""
        self.may_write()
        fault = result_fault(result, str(result.get("phase", "train")))
        if fault is not None:
            raise RecordError(f"{self.path}: no result is written, because {fault}")
        text = json.dumps({"schema": SCHEMA_VERSION, **without_nan(result)}, indent=1, allow_nan=False)
        write_atomically(self.path / "result.json", text + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """The result, or None while there is none.

        Raises:
            RecordError: it is damaged, or no result that a run can have.
        """
        if not os.path.lexists(f"{self.path}{os.sep}result.json"):
            return None
        result = self._read("result.json")
        fault = result_fault(result, str(result.get("phase", "train")))
        if fault is not None:
            raise RecordError(f"{self.path / 'result.json'} is not a run's result: {fault}; {REDO}")
        return result

    def _read(self, name: str) -> dict[str, Any]:
        path = f"{self.path}{os.sep}{name}"  # thousands are read at a time, and a Path takes its time to make
        again = REDO if name == "result.json" else "remove the run directory to run it again"
        try:
            with open(path, "rb") as file:
                document = json.loads(file.read().decode())
        except FileNotFoundError:
            raise RecordError(f"no {name} in {self.path}") from None
        except OSError as error:
            raise RecordError(f"{path} cannot be read ({error.strerror}); {again}") from None
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{path} is damaged ({error}); {again}") from None
        if not isinstance(document, dict):
            raise RecordError(f"{path} is damaged (not a JSON object); {again}")
        return document


class SilentDirectory(RunDirectory):
    """For the processes of a run that do not write: they read like the others, and their writes do nothing."""

    def write_info(self, info: RunInfo) -> None: ...

    def begin(self, info: RunInfo) -> None: ...

    def append_metrics(self, epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float) -> str:
        return metrics_line(epoch, step, values, wall_s, device_s)

    def settle_metrics(self) -> None: ...

    def write_metrics(self, lines: Sequence[str]) -> None: ...

    def write_result(self, result: Mapping[str, Any]) -> None: ...


@dataclass
class Record:
    """One run as read back: what was asked and, when done, what came out."""

    path: Path
    info: RunInfo
    result: dict[str, Any] | None

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.path)


def read_record(path: Path) -> Record:
    """A run directory as it stands. A valid result makes the run done, whatever run.json says; nothing else does.

    A run.json that is missing or damaged is taken from its copy in the result or of the last attempt's beginning.
    Nothing is written: `bench.run.one_run` and `dasbench run` bring the files in line.

    Raises:
        RecordError: run.json or result.json is damaged, or the result is another run's.
    """
    directory = RunDirectory(path)
    result = directory.read_result()
    try:
        info = directory.read_info()
    except RecordError:
        recovered = directory.recovered_info()
        if recovered is None:
            raise
        info = recovered
    if result is None:
        info.status = "interrupted" if info.status == "done" else info.status
        return Record(path, info, None)
    if result.get("signature", info.signature) != info.signature or result.get("phase", info.phase) != info.phase:
        raise RecordError(
            f"{path / 'result.json'} is the result of {result.get('phase')} run {result.get('signature')}, not of "
            f"{info.phase} run {info.signature}; {REDO}"
        )
    if info.status != "done":
        said = directory.recovered_info()
        info.status, info.error = "done", None
        info.finished = (said.finished if said else None) or (path / "result.json").stat().st_mtime
    return Record(path, info, result)


def is_run_directory(path: Path | str) -> bool:
    """Whether there is a run.json, or a copy of it."""
    return any(os.path.lexists(f"{path}{os.sep}{name}") for name in ("run.json", "begun.json", "result.json"))


def run_paths(root: Path) -> list[Path]:
    """The run directories below an experiment's folder, by name; none where it cannot be looked into."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and is_run_directory(entry.path)]
    except OSError:
        return []
    return [root / name for name in sorted(names)]


def read_records(root: Path) -> tuple[list[Record], list[str]]:
    """All runs below an experiment's folder, and one message for each that could not be read.

    A corrupt record among good ones is named and left out; it does not stop the others.
    """
    records, problems = [], []
    for path in run_paths(root):
        try:
            records.append(read_record(path))
        except RecordError as error:
            problems.append(str(error))
    return records, problems
