"""Checkpoints: one file each, written atomically, verified by checksum, the last two kept.

A file is `MAGIC`, the SHA-256 of the rest, and a `torch.save` archive that is read with `weights_only=True`, so that a
checkpoint can be damaged but never wrong unnoticed, and never runs code.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from bench.records import RecordError

MAGIC = b"dasbench checkpoint 1\n"
KEPT = 2


class CheckpointError(RuntimeError):
    """A checkpoint that belongs to another configuration; nothing was changed."""


def save_checkpoint(folder: Path, epoch: int, step: int, signature: str, state: dict[str, Any]) -> Path:
    """Write the state at (epoch, step): `step` steps of `epoch` are done. Older ones than the last two are removed.

    Raises:
        RecordError: the disk is full or the folder not writable; checkpoints already there stay.
    """
    buffer = io.BytesIO()
    torch.save({"signature": signature, "epoch": epoch, "step": step, "state": state}, buffer)
    payload = buffer.getbuffer()
    path = folder / f"epoch-{epoch:05d}-step-{step:07d}.pt"
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(MAGIC)
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecordError(
            f"cannot write checkpoint {path}: {error.strerror or error}; earlier checkpoints are kept. "
            "Free space and run the same command again"
        ) from error
    for old in list_checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    for left_over in folder.glob(".*.tmp"):
        left_over.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, oldest first."""
    return sorted(folder.glob("epoch-*.pt"))


def load_newest_checkpoint(folder: Path, signature: str) -> dict[str, Any] | None:
    """The newest readable checkpoint's `epoch`, `step` and `state`, on the CPU; None if there is none.

    A damaged file is reported in a warning and the one before it is used.

    Raises:
        CheckpointError: the newest readable one was written by another configuration.
    """
    for path in reversed(list_checkpoints(folder)):
        content = path.read_bytes()
        header, payload = content[: len(MAGIC) + 32], content[len(MAGIC) + 32 :]
        if header != MAGIC + hashlib.sha256(payload).digest():
            warnings.warn(f"{path} is damaged (checksum); using the checkpoint before it", stacklevel=2)
            continue
        checkpoint = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if checkpoint["signature"] != signature:
            raise CheckpointError(
                f"{path} belongs to configuration {checkpoint['signature']}, this run is {signature}; "
                "remove the checkpoints folder to start this run anew, or run with the configuration that made it"
            )
        return dict(checkpoint)
    return None
