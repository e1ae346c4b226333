"""A finished search of another experiment as a run of this one: its record is copied, verified, before anything starts.

The copy is a run like any other: trainings need it, its costs are theirs, a report finds it. Its `origin` says where it
is from. It holds no checkpoint, and nothing depends on the other folder once it is made.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from bench.records.atomic import write_durably
from bench.records.directory import RecordError, RunDirectory, RunInfo, make_folder
from bench.records.inputs import checksums, finished_record, verified_file
from bench.records.run_info import SCHEMA_VERSION


def make_directory(directory: RunDirectory, info: RunInfo) -> None:
    """The directory of a planned run: an empty one to be filled, or the copy of a search that is done elsewhere.

    Raises:
        ArchitectureError: the given architecture cannot be read.
        RecordError: the search is no longer as it was found, or a file cannot be written.
    """
    if info.origin:
        _carry(directory, info)
    else:
        directory.create(info)


def _carry(directory: RunDirectory, info: RunInfo) -> None:
    """Copy a finished run; result.json before run.json, so that a copy cut short is made again or is whole."""
    source = finished_record(Path(info.origin["directory"]))
    if source is None or source.result is None or source.info.signature != info.signature:
        raise RecordError(f"{info.origin['directory']} no longer holds run {info.signature}; run the command again")
    make_folder(directory.path)
    for name in source.result.get("files") or checksums(source.path):
        _write(directory.path / name, verified_file(source, name).read_bytes())
    info.environment, info.preset = source.info.environment, source.info.preset
    info.started, info.finished = source.info.started, source.info.finished
    info.status, info.created = "done", info.created or time.time()
    result = {"schema": SCHEMA_VERSION, **source.result, "run": asdict(info)}
    _write(directory.path / "result.json", (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    directory.write_info(info)


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    try:
        write_durably(path, content)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror or error}; free space") from None
