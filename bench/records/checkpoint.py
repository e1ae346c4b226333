"""Checkpoints: one file each, written atomically, verified by checksum, the last two kept.

A file is `MAGIC`, the SHA-256 of the rest, and a `torch.save` archive that is read with `weights_only=True`, so that a
checkpoint can be damaged but never wrong unnoticed, and never runs code.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch

from bench.records.atomic import write_durably
from bench.records.directory import RecordError

MAGIC = b"dasbench checkpoint 1\n"
KEPT = 2


class CheckpointError(RuntimeError):
    """A checkpoint that belongs to another configuration; nothing was changed."""


def save_checkpoint(folder: Path, epoch: int, step: int, signature: str, state: dict[str, Any]) -> Path:
    """Write the state at (epoch, step): `step` steps of `epoch` are done. Older ones than the last two are removed,
    and damaged ones that stand in their way.

    Raises:
        RecordError: the disk is full or the folder not writable; checkpoints already there stay.
    """
    buffer = io.BytesIO()
    torch.save({"signature": signature, "epoch": epoch, "step": step, "state": state}, buffer)
    payload = buffer.getbuffer()
    path = folder / f"epoch-{epoch:05d}-step-{step:07d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, MAGIC, hashlib.sha256(payload).digest(), payload)
    except OSError as error:
        raise RecordError(
            f"cannot write checkpoint {path}: {error.strerror or error}; earlier checkpoints are kept. "
            "Free space and run the same command again"
        ) from error
    _remove_old(folder, path)
    return path


def _remove_old(folder: Path, newest: Path) -> None:
    """Keep the last two up to the one just written. One with a higher name is there only if it was found damaged when
    this run was continued; it goes too, once it is seen to be damaged."""
    there = list_checkpoints(folder)
    for old in [path for path in there if path <= newest][:-KEPT]:
        old.unlink(missing_ok=True)
    for path in there:
        if path > newest and _payload(path) is None:
            path.unlink(missing_ok=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, oldest first."""
    return sorted(folder.glob("epoch-*.pt"))


def load_newest_checkpoint(folder: Path, signature: str) -> dict[str, Any] | None:
    """The newest readable checkpoint's `epoch`, `step` and `state`, on the CPU; None if there is none.

    A damaged file is reported in a warning and the one before it is used; the warning says so when there is none.

    Raises:
        CheckpointError: the newest readable one was written by another configuration.
    """
    there = list_checkpoints(folder)
    for path in reversed(there):
        payload = _payload(path)
        if payload is None:
            instead = "there is none before it: starting anew" if path == there[0] else "using the one before it"
            warnings.warn(f"{path} is damaged (checksum); {instead}", stacklevel=2)
            continue
        checkpoint = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if checkpoint["signature"] != signature:
            raise CheckpointError(
                f"{path} belongs to configuration {checkpoint['signature']}, this run is {signature}; "
                "remove the checkpoints folder to start this run anew, or run with the configuration that made it"
            )
        return dict(checkpoint)
    return None


def _payload(path: Path) -> bytes | None:
    """What a checkpoint holds; None when it does not match its checksum."""
    content = path.read_bytes()
    header, payload = content[: len(MAGIC) + 32], content[len(MAGIC) + 32 :]
    return payload if header == MAGIC + hashlib.sha256(payload).digest() else None
