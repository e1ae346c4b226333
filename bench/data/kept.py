"""What was found out about an image folder once, kept for the next time: beside the data, else beside the runs."""

from __future__ import annotations

import contextlib
import os
import uuid
import zlib
from pathlib import Path

FOLDER = ".dasbench"


def places(data: Path, runs_dir: Path | None = None) -> tuple[Path, ...]:
    """Folders where what is known of `data` may lie, the preferred first."""
    beside = (data / FOLDER,)
    if runs_dir is None:
        return beside
    return (*beside, runs_dir / "data" / f"{data.name}-{zlib.crc32(os.fsencode(data)):08x}")


def read(where: tuple[Path, ...], name: str) -> bytes | None:
    """The content kept under a name; None where there is none."""
    for place in where:
        with contextlib.suppress(OSError):
            return (place / name).read_bytes()
    return None


def write(where: tuple[Path, ...], name: str, content: bytes) -> Path | None:
    """Keep something in the first place that can be written, whole or not at all; None where none can."""
    for place in where:
        temporary = place / f"{name}.{uuid.uuid4().hex[:12]}.tmp"
        try:
            place.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, place / name)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            continue
        return place / name
    return None
