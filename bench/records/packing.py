"""Records that travel: runs and what lies beside them as a compressed tar archive, cut into pieces, with a manifest.

What a machine has of its own stays: leases, temporary files and everything else that is hidden, MLflow's store, which
follows from the records, and images that were decoded to be kept.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.names import one_line
from bench.records.directory import RecordError, make_folder, run_paths
from bench.records.lease import LEASE_SECONDS, last_beat, times_held
from bench.records.manifest import ARCHIVE_NAME, Manifest, write_manifest
from bench.records.pieces import PieceWriter
from bench.records.weights import WEIGHTS_NAME

PRESET: Final = 2
"""Of xz: weights do not become smaller by a higher one, and texts hardly."""
BESIDE = "*.json"
MEASURED = "latency"
"""Beside the experiments' folders: what was calibrated, proved and timed, and the folder of measured latencies."""
ASKED_AGAIN = ".again.json"
"""How files end that hold an answer to a command on this machine."""
NOT_RECORDS = frozenset({"checkpoints", "scores", "proxies", WEIGHTS_NAME, "output.log", "progress.json"})
"""Of a run directory: what neither a report nor a run that rests on a finished search reads."""


def pack(runs_dir: Path, folders: Sequence[Path], to: Path, piece_size: int, records_only: bool = False) -> Manifest:
    """Write the runs of some experiments' folders, and what lies beside them in RUNS_DIR, as pieces into a new folder.

    Args:
        folders: of RUNS_DIR.
        piece_size: bytes of a piece at most.
        records_only: leave checkpoints and weights out.

    Raises:
        RecordError: a run is being done, a file cannot be read or written, or `to` is there already; then there is
            nothing new.
    """
    _check_new(to)
    runs = [path for folder in folders for path in run_paths(folder)]
    held = {path: times_held(path) for path in runs}
    _check_idle(runs)
    files = list(_files(runs_dir, folders, NOT_RECORDS if records_only else frozenset()))
    with _aside(to) as aside:
        writer = PieceWriter(aside, ARCHIVE_NAME, piece_size)
        with writer:
            size = _write(files, writer)
        _check_untouched(held)
        numbers = dict(Counter(path.parent.name for path in runs))
        manifest = Manifest(records_only, numbers, len(files), size, writer.whole.hexdigest(), writer.pieces)
        write_manifest(aside, manifest)
    return manifest


def left_out(runs_dir: Path, folders: Sequence[Path]) -> list[str]:
    """What of RUNS_DIR, hidden files aside, `pack` leaves behind."""
    taken = {folder.name for folder in folders} | {path.name for path in _beside(runs_dir)} | {MEASURED}
    return sorted(path.name for path in runs_dir.iterdir() if path.name not in taken and not path.name.startswith("."))


def _check_new(to: Path) -> None:
    if os.path.lexists(to) and not (to.is_dir() and not any(to.iterdir())):
        raise RecordError(f"{to} is there already; name a new folder")


def _check_idle(runs: Sequence[Path]) -> None:
    for path in runs:
        beat = last_beat(path)
        if beat is not None and beat.age <= LEASE_SECONDS:
            who = beat.holder or "another process"
            raise RecordError(f"{path} is being done by {who}; wait for it or stop it (Ctrl-C). Nothing was packed")


def _check_untouched(held: Mapping[Path, int]) -> None:
    """No run was begun since they were counted, even if it has ended again."""
    for path, times in held.items():
        if times_held(path) != times:
            raise RecordError(f"{path} was begun while it was packed; pack again. Nothing was packed")


def _files(runs_dir: Path, folders: Sequence[Path], without: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Name in the archive and path of every file, in an order that does not depend on the file system."""
    for path in _beside(runs_dir):
        yield path.name, path
    for folder in [*folders, runs_dir / MEASURED]:
        for path in _of_folder(folder, without):
            yield f"{folder.name}/{path.relative_to(folder).as_posix()}", path


def _beside(runs_dir: Path) -> list[Path]:
    there = [path for path in sorted(runs_dir.glob(BESIDE)) if path.is_file() and not path.name.startswith(".")]
    return [path for path in there if not path.name.endswith(ASKED_AGAIN)]


def _of_folder(folder: Path, without: frozenset[str]) -> Iterator[Path]:
    """The files in it, and all of its run directories; what a cluster keeps there for its jobs is this machine's."""
    beside = folder.iterdir() if folder.is_dir() else ()
    yield from sorted(path for path in beside if path.is_file() and _travels(path.name, without))
    for path in run_paths(folder):
        yield from _below(path, without)


def _travels(name: str, without: frozenset[str]) -> bool:
    return not name.startswith(".") and not name.endswith(".tmp") and name not in without


def _below(folder: Path, without: frozenset[str]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _travels(name, without))
        for name in folders:
            if os.path.islink(os.path.join(place, name)):
                raise RecordError(f"{os.path.join(place, name)} is a link to a folder; put the folder there instead")
        yield from (Path(place, name) for name in sorted(names) if _travels(name, without))


def _write(files: Sequence[tuple[str, Path]], to: PieceWriter) -> int:
    """The archive; returns how many bytes went into it."""
    size = 0
    with tarfile.open(mode="w:xz", fileobj=to, preset=PRESET, dereference=True) as archive:  # links as what they name
        for name, path in files:
            with open(path, "rb") as file:
                member = archive.gettarinfo(arcname=name, fileobj=file)
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                archive.addfile(member, file)
                size += member.size
    return size


@contextmanager
def _aside(to: Path) -> Iterator[Path]:
    """A folder that becomes `to` when everything is in it, and else is gone."""
    make_folder(to.parent)
    aside = to.with_name(f".{to.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        aside.mkdir()
        yield aside
        os.rename(aside, to)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise RecordError(f"cannot pack{where} into {to}: {error.strerror or one_line(str(error))}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
