"""A latency data set: a file of JSON lines, the first of which says under what conditions the others were measured.

A measurement is a line that is on the disk before the next one begins. Whoever continues removes a last line that a
kill cut short.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from bench.latency.conditions import Conditions, LatencyError, differences, read_conditions
from bench.latency.timing import Timed, undisturbed
from bench.records.directory import make_folder, write_atomically
from methods.architecture import Architecture

SUFFIX = ".jsonl"
DATA_NAME = f"latency{SUFFIX}"
"""Of the file in a run that measures."""
GIVEN = "given"


@dataclass(frozen=True)
class Job:
    """One measurement: `role` is "operation", "random", "repeat" (of the random one of this index) or "given"."""

    role: str
    index: int
    architecture: Architecture

    @property
    def key(self) -> tuple[str, int | str]:
        """What tells it from others: of a given one, which others may come before, its digest."""
        return self.role, self.architecture.digest if self.role == GIVEN else self.index


@dataclass(frozen=True)
class Measured:
    """One line; `digest` is that of the architecture, whose masks the line does not keep."""

    job: Job
    timed: Timed
    digest: str

    @property
    def key(self) -> tuple[str, int | str]:
        return self.job.role, self.digest if self.job.role == GIVEN else self.job.index


@dataclass(frozen=True)
class LatencyData:
    """What a file holds.

    Attributes:
        document: its first line.
        reference_ms: what the reference takes when little disturbs it (`bench.latency.timing`).
    """

    conditions: Conditions
    document: Mapping[str, Any]
    measured: tuple[Measured, ...]

    @cached_property
    def reference_ms(self) -> float:
        return undisturbed([min(each.timed.reference) for each in self.measured])

    def ms(self, measured: Measured, reference_ms: float | None = None) -> float:
        """The latency: how much longer than the reference's, times what that takes.

        Args:
            reference_ms: that of another data set, for latencies on its scale.
        """
        return measured.timed.ratio(self.conditions.protocol.calls) * (reference_ms or self.reference_ms)

    def of(self, role: str) -> dict[int, Measured]:
        """By index, those of a role."""
        return {each.job.index: each for each in self.measured if each.job.role == role}

    def drift(self) -> float:
        """How much the reference moved: the range of its fastest calls, as a share of what it takes undisturbed."""
        found = [min(each.timed.reference) for each in self.measured]
        return (max(found) - min(found)) / self.reference_ms


def read_data(path: Path) -> LatencyData:
    """Raises LatencyError for a file that is not there, is no latency file, or is damaged before its last line."""
    lines = _lines(path)
    document = _json(lines[0]) if lines else None
    conditions = read_conditions(document, str(path))
    measured = []
    for number, text in enumerate(lines[1:], start=2):
        found = _measured(_json(text), conditions.space)
        if found is not None:
            measured.append(found)
        elif number < len(lines):
            raise LatencyError(f"{path}: line {number} is damaged; remove it, and it is measured again")
    return LatencyData(conditions, document or {}, tuple(measured))


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        raise LatencyError(f"there is no latency file {path}; make one with `dasbench measure-latency`") from None
    except OSError as error:
        raise LatencyError(f"cannot read {path}: {error.strerror}") from None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _measured(line: Any, space: str) -> Measured | None:
    try:
        architecture = Architecture(
            line.get("space", space), line["genotype"], line.get("scale", {}), line.get("widths", {})
        )
        job = Job(str(line["role"]), int(line["index"]), architecture)
        times = Timed(tuple(map(float, line["ms"])), tuple(map(float, line["reference_ms"])))
        found = Measured(job, times, str(line["digest"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return found if min((*times.network, *times.reference), default=0.0) > 0 else None


class Writer:
    """Adds measurements to a file that only this process writes."""

    def __init__(self, file: IO[bytes], path: Path, space: str) -> None:
        self.file, self.path, self.space = file, path, space

    def add(self, measured: Measured) -> None:
        """When this returns, it also survives a loss of power. Raises LatencyError if it cannot be written."""
        job, of = measured.job, measured.job.architecture
        line: dict[str, Any] = {
            "role": job.role,
            "index": job.index,
            "digest": measured.digest,
            "genotype": of.genotype,
        }
        line |= {"space": of.space} if of.space != self.space else {}
        line |= {"scale": dict(of.scale)} if of.scale else {}
        line |= {"widths": dict(of.widths)} if of.widths else {}
        line |= {"ms": measured.timed.network, "reference_ms": measured.timed.reference}
        line["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            self.file.write(json.dumps(line).encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise LatencyError(f"cannot write {self.path}: {error.strerror}; what it holds stays") from None


@contextmanager
def continued(path: Path, conditions: Conditions) -> Iterator[tuple[LatencyData, Writer]]:
    """What a file holds, and what adds to it; a new file begins with its conditions.

    Raises:
        LatencyError: it was measured under other conditions, is damaged, or another process adds to it now.
    """
    if not path.exists():
        from bench.latency.here import provenance  # who reads a file needs no torch

        make_folder(path.parent)
        write_atomically(path, json.dumps({**asdict(conditions), **provenance(conditions)}) + "\n")
    before = read_data(path)
    other = differences(conditions, before.conditions)
    if other:
        raise LatencyError(f"{path} was measured with {'; '.join(other)}. Choose another --out, or remove it")
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LatencyError(
                f"another process measures into {path} now; wait for it, or choose another --out"
            ) from None
        _cut(file)
        yield read_data(path), Writer(file, path, conditions.space)


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "r+b")
    except OSError as error:
        raise LatencyError(f"cannot write {path}: {error.strerror}; choose another --out") from None


def _cut(file: IO[bytes]) -> None:
    """Remove a last line that is not whole, and go to the end."""
    content = file.read()
    whole = content.rfind(b"\n") + 1
    last = content[:whole].splitlines()[-1] if whole else b""
    if whole and _json(last) is None:
        whole -= len(last) + 1
    file.truncate(whole)
    file.seek(whole)
