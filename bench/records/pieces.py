"""A stream of bytes as files of at most a size, NAME.000, NAME.001, ..., each with its checksum; and back."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.records.directory import RecordError

BLOCK = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True)
class Piece:
    """A file, its bytes and their SHA-256."""

    name: str
    bytes: int
    sha256: str


class PieceWriter(io.RawIOBase):
    """Writes pieces into a folder; a new one begins when the last one is full.

    Args:
        size: bytes of a piece at most.
    """

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self.folder, self.name, self.size = folder, name, size
        self.pieces: list[Piece] = []
        self.whole = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._begin()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), BLOCK):
            self._add(view[start : start + BLOCK])
        return len(view)

    def close(self) -> None:
        self._end()
        super().close()

    def _add(self, rest: memoryview) -> None:
        while rest:
            if self._file is None or self._filled == self.size:
                self._begin()
            assert self._file is not None
            part, rest = rest[: self.size - self._filled], rest[self.size - self._filled :]
            self._file.write(part)
            self._digest.update(part)
            self.whole.update(part)
            self._filled += len(part)

    def _begin(self) -> None:
        self._end()
        self._file = open(self.folder / f"{self.name}.{len(self.pieces):03d}", "wb")  # noqa: SIM115 - closed by _end
        self._digest, self._filled = hashlib.sha256(), 0

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self.pieces.append(Piece(Path(self._file.name).name, self._filled, self._digest.hexdigest()))
            self._file = None


class PieceReader(io.RawIOBase):
    """Reads pieces as the stream that they were."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._left = list(paths)
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while self._file is not None or self._left:
            if self._file is None:
                self._file = open(self._left.pop(0), "rb")  # noqa: SIM115 - closed when it is read, or by close
            part = self._file.read(len(buffer))
            if part:
                buffer[: len(part)] = part
                return len(part)
            self._file.close()
            self._file = None
        return 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def verify(folder: Path, pieces: Sequence[Piece], whole: str) -> None:
    """Read every piece and compare it with its checksum, and all of them with that of the whole.

    Raises:
        RecordError: a piece is missing, cut short or changed; it is named.
    """
    together = hashlib.sha256()
    for number, piece in enumerate(pieces, 1):
        fault = _fault(folder / piece.name, piece, together)
        if fault is not None:
            raise RecordError(
                f"{folder / piece.name}, piece {number} of {len(pieces)}, {fault}; bring it again. Nothing was unpacked"
            )
    if together.hexdigest() != whole:
        raise RecordError(f"the pieces in {folder} are not one archive (checksum of the whole); nothing was unpacked")


def _fault(path: Path, piece: Piece, together: Any) -> str | None:
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                together.update(block)
                size += len(block)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if size != piece.bytes:
        return f"has {size} of {piece.bytes} bytes"
    return None if digest.hexdigest() == piece.sha256 else "was changed (checksum)"
