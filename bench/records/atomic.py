"""Files that are replaced whole: a reader, or a process that comes after a kill, sees the old content or the new."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

_UNSYNCABLE = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}
"""How file systems say that a folder cannot be flushed by itself."""
LEFT_OVERS = (".*.tmp", "*.json.tmp", "*.safetensors.tmp", ".lease/*.tmp")
"""Temporary names of this version and of earlier ones."""


def write_durably(path: Path, *parts: bytes | memoryview) -> None:
    """Replace a file by the parts, one behind the other; when this returns, it also survives a loss of power.

    Raises:
        OSError: it cannot be written; the old file is untouched and nothing is left beside it.
    """
    _replace(path, parts, os.fsync)
    _flush_folder(path.parent)


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """The same without waiting for the disk, for what may be lost with the machine (a heartbeat for people).

    Raises:
        OSError: as `write_durably`.
    """
    _replace(path, parts, lambda descriptor: None)


def has_left_overs(folder: Path) -> bool:
    """Whether a writer that was killed has left something in a run directory itself or in its lease; a quick look."""
    for place in (folder, folder / ".lease"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
            if any(entry.name.endswith(".tmp") for entry in entries):
                return True
    return False


def remove_left_overs(folder: Path) -> list[Path]:
    """Remove what writers that were killed have left below `folder`; only for who is its only writer.

    Returns:
        what was removed.
    """
    found = [path for pattern in LEFT_OVERS for path in folder.rglob(pattern)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return found


def _replace(path: Path, parts: tuple[bytes | memoryview, ...], settle: Callable[[int], None]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            settle(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    """The new name, too, must be on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)
