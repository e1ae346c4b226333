"""Packed records put back: everything is verified and laid out aside before the first run appears in RUNS_DIR."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records.directory import RecordError, is_run_directory, make_folder, write_atomically
from bench.records.manifest import Manifest, read_manifest
from bench.records.pieces import PieceReader, verify


@dataclass
class Unpacked:
    """Attributes:
    new: runs that are in RUNS_DIR now.
    same: runs that were there already, with the same content.
    """

    new: int = 0
    same: int = 0


def unpack(source: Path, runs_dir: Path) -> Unpacked:
    """Restore what `bench.records.packing.pack` wrote.

    A run that is there with the same content is left as it is; other content is refused. Of the files beside the runs
    (calibration.json, ...) what is known here stays, and what is not known is added.

    Raises:
        RecordError: a piece is not as it was written, a member of the archive would leave the folder, or something
            else is there by the name of a run; then nothing in `runs_dir` was changed.
    """
    manifest = read_manifest(source)
    verify(source, manifest.pieces, manifest.sha256)
    with _aside(runs_dir) as aside:
        _extract(source, manifest, aside)
        return _move(aside, runs_dir)


def _extract(source: Path, manifest: Manifest, aside: Path) -> None:
    try:
        with (
            PieceReader([source / piece.name for piece in manifest.pieces]) as reader,
            tarfile.open(mode="r|xz", fileobj=reader) as archive,
        ):
            for member in archive:
                if not member.isreg():
                    raise RecordError(f"{source}: '{member.name}' is not a file; nothing was unpacked")
                archive.extract(member, aside, filter="data")
    except tarfile.FilterError as error:
        raise RecordError(f"{source}: {error}; nothing was unpacked") from None
    except tarfile.TarError as error:
        raise RecordError(f"{source} is no archive of records ({error}); nothing was unpacked") from None


def _move(aside: Path, runs_dir: Path) -> Unpacked:
    """Compare all, then move what is new."""
    units = list(_units(aside))
    places = {unit: runs_dir / unit.relative_to(aside) for unit in units}
    there = [unit for unit, place in places.items() if os.path.lexists(place)]
    beside = {places[unit]: _joined(places[unit], unit) for unit in there if unit.parent == aside}
    same = [unit for unit in there if unit.parent != aside and _is_same(unit, places[unit])]
    other = [places[unit] for unit in there if unit.parent != aside and unit not in same]
    _refuse(other + [place for place, content in beside.items() if content is None])
    found = Unpacked(same=sum(map(is_run_directory, same)))
    for place, content in beside.items():
        if content:
            write_atomically(place, content)
    for unit in units:
        if unit not in there:
            found.new += unit.is_dir() and is_run_directory(unit)
            make_folder(places[unit].parent)
            os.rename(unit, places[unit])
    return found


def _units(aside: Path) -> Iterator[Path]:
    """What is there as a whole or not: a run directory, a file beside runs, a file beside experiments."""
    for path in sorted(aside.iterdir()):
        yield from sorted(path.iterdir()) if path.is_dir() else [path]


def _is_same(unit: Path, place: Path) -> bool:
    """Whether every file that was brought is there; what else is there (a lease, a drawing) was made there."""
    files = [unit] if unit.is_file() else [path for path in unit.rglob("*") if path.is_file()]
    return all(_are_equal(path, place / path.relative_to(unit)) for path in files)


def _are_equal(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _joined(here: Path, brought: Path) -> str | None:
    """A file of measurements with the brought entries that it lacks; empty if it lacks none, None if it is unclear."""
    if _are_equal(brought, here):
        return ""
    known, new = _entries(here), _entries(brought)
    if known is None or new is None:
        return None
    return json.dumps(new | known, indent=1) + "\n" if set(new) - set(known) else ""


def _entries(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _refuse(other: Sequence[Path]) -> None:
    if other:
        more = f", and {len(other) - 1} more are" if other[1:] else ""
        raise RecordError(
            f"{other[0]} is there with other content{more}; nothing was changed. Unpack into another --runs-dir, or "
            "move away what is there"
        )


@contextmanager
def _aside(runs_dir: Path) -> Iterator[Path]:
    """A folder in RUNS_DIR, so that what is in it can be renamed into place; gone at the end."""
    make_folder(runs_dir)
    aside: Path | None = None
    try:
        aside = Path(tempfile.mkdtemp(prefix=".unpack-", suffix=".tmp", dir=runs_dir))
        yield aside
    except OSError as error:
        raise RecordError(f"cannot unpack into {runs_dir}: {error.strerror or error}; free space") from None
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
