"""Images that lie elsewhere than when their runs were planned: the records of what is still to be done are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from bench.records.directory import RecordError, RunInfo, directories
from bench.records.lease import LeaseHeldError, LeaseLostError, hold


def note_where_images_are(folder: Path, planned: Iterable[RunInfo]) -> None:
    """Write the planned place of the images into the records that name another; a run that is going on has read them.

    Args:
        folder: RUNS_DIR/<experiment>-<profile>.
    """
    planned = [info for info in planned if info.folder is not None]
    places = directories(folder, planned) if planned else {}
    for info in planned:
        directory = places[info.signature]
        if not directory.exists() or (directory.path / "result.json").exists():
            continue
        with contextlib.suppress(LeaseHeldError, LeaseLostError, RecordError):
            if directory.read_info().folder == info.folder:
                continue
            with hold(directory.path) as lease:
                directory.may_write = lease.check
                directory.write_info(_moved(directory.read_info(), info.folder))


def _moved(info: RunInfo, folder: str | None) -> RunInfo:
    info.folder = folder
    return info
