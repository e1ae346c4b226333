"""What stands beside the pieces of packed records: their checksums, what they hold, how they are restored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.records.directory import RecordError, write_atomically
from bench.records.pieces import Piece

MANIFEST_NAME = "manifest.json"
ARCHIVE_NAME = "runs.tar.xz"
SCHEMA_VERSION = 1
RESTORE = f"dasbench unpack FOLDER; without dasbench: cat {ARCHIVE_NAME}.* | tar -xJ"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Manifest:
    """Attributes:
    records_only: without checkpoints and weights.
    runs: how many, by folder.
    files, bytes: of what was packed, before compression.
    sha256: of the pieces behind each other.
    """

    records_only: bool
    runs: dict[str, int]
    files: int
    bytes: int
    sha256: str
    pieces: list[Piece]

    @property
    def number(self) -> int:
        """Of runs."""
        return sum(self.runs.values())

    @property
    def packed_bytes(self) -> int:
        return sum(piece.bytes for piece in self.pieces)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Raises RecordError when it cannot be written."""
    document = {"schema": SCHEMA_VERSION, "restore": RESTORE, **asdict(manifest)}
    write_atomically(folder / MANIFEST_NAME, json.dumps(document, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises RecordError when there is none, or it is not one that this version writes."""
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA_VERSION:
            raise RecordError(f"{path}: schema {document['schema']}, this version reads {SCHEMA_VERSION}")
        return _parse(document)
    except FileNotFoundError:
        raise RecordError(f"no {MANIFEST_NAME} in {folder}: give the folder that `dasbench pack` made") from None
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path} is damaged ({error!r}); bring it again") from None


def _parse(document: Mapping[str, Any]) -> Manifest:
    pieces = [Piece(str(each["name"]), int(each["bytes"]), str(each["sha256"])) for each in document["pieces"]]
    for piece in pieces:
        if not _PLAIN.fullmatch(piece.name):
            raise ValueError(f"{piece.name!r} is no piece's name")
    runs = {str(name): int(number) for name, number in document["runs"].items()}
    counts = int(document["files"]), int(document["bytes"])
    return Manifest(bool(document["records_only"]), runs, *counts, str(document["sha256"]), pieces)
