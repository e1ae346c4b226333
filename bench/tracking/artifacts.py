"""The files that lie with a run in MLflow: its architecture, drawings of it, and its result."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.records.directory import Record, RecordError
from bench.tracking import view
from methods.architecture import JSON_NAME

Artifacts = Callable[[Record], Mapping[str, Path]]
"""Further files for a run that has an architecture (drawings, say), by the name they shall have among its artifacts."""


class ArtifactError(RuntimeError):
    """A file that should be attached could not be made."""


@dataclass(frozen=True)
class Attached:
    """What lies with a run now: a mark that changes with it, and what could not be made."""

    mark: str
    trouble: ArtifactError | None = None


def attach(
    record: Record, artifacts: Artifacts | None, held: str | None, place: Callable[[Path, Path], None]
) -> Attached:
    """Attach a record's files, where they changed since the mark `held`; `place` puts a path under a name."""
    architecture = read_bytes(record.path / JSON_NAME)
    mark = view.digest([architecture, record.result, artifacts is not None])
    if held == mark:
        return Attached(mark)
    files = {name: record.path / name for name in (JSON_NAME, "result.json") if (record.path / name).is_file()}
    trouble = None
    if artifacts is not None and architecture:
        try:
            files |= artifacts(record)
        except Exception as error:  # a drawing that fails must not keep the other runs out
            trouble = ArtifactError(f"cannot draw its architecture: {error}")
    for name, path in files.items():
        place(path, Path(name))
    return Attached(mark, trouble)


def place_for(client: Callable[[], Any], run_id: str, uri: str) -> Callable[[Path, Path], None]:
    """How files get to a run's artifacts: copied where these are a folder, else by MLflow."""
    folder = Path(url2pathname(urlsplit(uri).path)) if uri.startswith("file:") else None

    def copy(path: Path, name: Path) -> None:
        assert folder is not None
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)

    def log(path: Path, name: Path) -> None:
        below = None if name.parent == Path() else str(name.parent)
        if path.name == name.name:
            client().log_artifact(run_id, str(path), below)
            return
        with tempfile.TemporaryDirectory() as temporary:
            client().log_artifact(run_id, shutil.copy(path, Path(temporary) / name.name), below)

    return log if folder is None else copy


def read_bytes(path: Path) -> bytes:
    """A file of a record; empty when it is not there.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror})") from None
