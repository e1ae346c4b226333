"""Records as inputs: what a run takes from another one is verified before it is used.

A result names the digest of its architecture and, by SHA-256, every file that belongs to it. Results written before
there were checksums name the digest only; their files are taken as they are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from bench.records.directory import Record, RecordError, read_record
from bench.records.soundness import identity_fault
from methods.architecture import Architecture, ArchitectureError

_NAMES = (
    "metrics.jsonl",
    "seeds.jsonl",
    "proposals.jsonl",
    "trainings.jsonl",
    "listed.json",
    "latency.jsonl",
    "latency.fitted.safetensors",
    "weights.safetensors",
    "architecture.json",
    "architecture.safetensors",
)
AGAIN = "remove its run directory to make it again"


def checksums(path: Path) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of every file of a run directory that belongs to its result, by name."""
    files = [path / name for name in _NAMES] + sorted((path / "family").rglob("architecture.*"))
    found = {}
    for file in files:
        if file.is_file():
            found[file.relative_to(path).as_posix()] = {"bytes": file.stat().st_size, "sha256": _sha256(file)}
    return found


def finished_record(path: Path) -> Record | None:
    """A run to be read by another one; None while it has no result.

    Raises:
        RecordError: it is damaged, or was changed since it was planned.
    """
    record = read_record(path)
    fault = identity_fault(vars(record.info))
    if fault is not None:
        raise RecordError(f"{path / 'run.json'}: {fault}; {AGAIN}")
    return record if record.result is not None else None


def verified_file(record: Record, name: str) -> Path:
    """A file of a finished run, as the run left it.

    Raises:
        RecordError: it is missing or has changed.
    """
    path, files = record.path / name, (record.result or {}).get("files")
    if not path.is_file():
        raise RecordError(f"{path} is missing; {AGAIN}")
    if files is None:  # written before there were checksums
        return path
    if name not in files or files[name].get("sha256") != _sha256(path):
        raise RecordError(f"{path} is not as its run left it (checksum); {AGAIN}")
    return path


def found_architecture(record: Record) -> Architecture:
    """The architecture of a finished run, which is the one that its result names.

    Raises:
        RecordError: it is missing, damaged, or another one.
    """
    architecture = _load(record.path)
    wanted = (record.result or {}).get("architecture")
    if architecture.digest != wanted:
        raise RecordError(
            f"{record.path / 'architecture.json'} is not what its run found (digest {architecture.digest}, its result "
            f"names {wanted}); {AGAIN}"
        )
    return architecture


def found_family(record: Record) -> list[Architecture]:
    """The further sizes of a search that gives several, in order.

    Raises:
        RecordError: one is missing, damaged, or another one.
    """
    members = [_load(path) for path in sorted((record.path / "family").glob("*")) if path.is_dir()]
    wanted = (record.result or {}).get("family")
    if wanted is None:  # written before results named them: only how many there were is known
        number = (record.result or {}).get("report", {}).get("family", len(members))
        wanted = [member.digest for member in members] if number == len(members) else [None] * number
    if [member.digest for member in members] != wanted:
        raise RecordError(f"{record.path / 'family'} does not hold the architectures that its result names; {AGAIN}")
    return members


def _load(path: Path) -> Architecture:
    try:
        return Architecture.load(path)
    except ArchitectureError as error:
        raise RecordError(f"{error}; {AGAIN}") from None


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror}); {AGAIN}") from None
