"""Checkpoints: atomic, verified, the last two kept, refused when they are another run's."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import torch

from bench.records import checkpoint
from bench.records.checkpoint import CheckpointError, list_checkpoints, load_newest_checkpoint, save_checkpoint
from bench.records.directory import RecordError


def test_round_trip_keeps_the_last_two(tmp_path: Path) -> None:
    for epoch in range(4):
        save_checkpoint(tmp_path, epoch, 10, "sig", {"weight": torch.full((3,), float(epoch))})
    assert [path.name[:11] for path in list_checkpoints(tmp_path)] == ["epoch-00002", "epoch-00003"]
    found = load_newest_checkpoint(tmp_path, "sig")
    assert found is not None
    assert (found["epoch"], found["step"]) == (3, 10)
    assert torch.equal(found["state"]["weight"], torch.full((3,), 3.0))
    assert load_newest_checkpoint(tmp_path / "nothing", "sig") is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_newest_checkpoint_falls_back(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, 0, 0, "sig", {"value": 0})
    newest = save_checkpoint(tmp_path, 1, 0, "sig", {"value": 1})
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[-20] ^= 1
    newest.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match="damaged"):
        found = load_newest_checkpoint(tmp_path, "sig")
    assert found is not None
    assert found["state"] == {"value": 0}


def test_with_all_damaged_the_new_ones_are_kept(tmp_path: Path) -> None:
    for step in (5, 6):
        save_checkpoint(tmp_path, 1, step, "sig", {"value": step}).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged") as warned:
        assert load_newest_checkpoint(tmp_path, "sig") is None
    assert [str(each.message).partition("; ")[2] for each in warned] == [
        "using the one before it",
        "there is none before it: starting anew",
    ]
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, 0, step, "sig", {"value": step})
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        f"epoch-00000-step-000000{step}.pt" for step in (2, 3)
    ]
    found = load_newest_checkpoint(tmp_path, "sig")
    assert found is not None
    assert found["state"] == {"value": 3}


def test_a_late_writer_removes_no_sound_checkpoint(tmp_path: Path) -> None:
    """A copy that slept through its replacement writes an old moment: what the new copy wrote stays the newest."""
    for step in (5, 6, 1):
        save_checkpoint(tmp_path, 0, step, "sig", {"value": step})
    found = load_newest_checkpoint(tmp_path, "sig")
    assert found is not None
    assert found["state"] == {"value": 6}


def test_another_configurations_checkpoint_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 0, 0, "theirs", {})
    with pytest.raises(CheckpointError, match="belongs to configuration theirs, this run is ours"):
        load_newest_checkpoint(tmp_path, "ours")
    assert path.exists()


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 0, 0, "sig", {"value": 0})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"No space left.*earlier checkpoints are kept"):
        save_checkpoint(tmp_path, 1, 0, "sig", {"value": 1})
    found = load_newest_checkpoint(tmp_path, "sig")
    assert found is not None
    assert found["state"] == {"value": 0}
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("ran",))

    buffer = io.BytesIO()
    torch.save({"signature": "sig", "epoch": 0, "step": 0, "state": Evil()}, buffer)
    payload = buffer.getvalue()
    header = checkpoint.MAGIC + checkpoint.hashlib.sha256(payload).digest()
    (tmp_path / "epoch-00000-step-0000000.pt").write_bytes(header + payload)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load_newest_checkpoint(tmp_path, "sig")
