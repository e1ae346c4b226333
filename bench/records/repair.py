"""A valid result makes a run done, a checkpoint says how far it came: the files beside them are brought in line."""

from __future__ import annotations

import json
import sys

from bench.records.atomic import has_left_overs
from bench.records.checkpoint import load_newest_checkpoint
from bench.records.directory import Record, RecordError, RunDirectory


def is_settled(record: Record) -> bool:
    """Whether a finished run's files say what its result says, and nothing is left over beside them."""
    try:
        said = record.directory.read_info()
        return said == record.info and metrics_fault(record) is None and not has_left_overs(record.path)
    except (RecordError, OSError):
        return False


def metrics_fault(record: Record) -> str | None:
    """What is wrong with a finished run's metrics.jsonl, as far as its size or number of lines shows; else None.

    The result does not depend on that file: final metrics come from the checkpoint's state.
    """
    path, result = record.path / "metrics.jsonl", record.result or {}
    try:
        size = path.stat().st_size if path.is_file() else None
        if "files" in result:
            wanted = result["files"].get("metrics.jsonl", {}).get("bytes")
            return None if size == wanted else f"{path} has {size or 0} of {wanted or 0} bytes: epochs are missing"
        if not size or not result.get("epochs"):
            return None
        lines = path.read_bytes().count(b"\n")
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return None if lines == result["epochs"] else f"{path} has {lines} of {result['epochs']} epochs"


def settle(record: Record, directory: RunDirectory) -> str | None:
    """Bring run.json and metrics.jsonl of a finished run in line with its result.

    Args:
        directory: of the record, with the lease of this process.

    Returns:
        what cannot be repaired, or None.

    Raises:
        RecordError: a file cannot be written.
    """
    try:
        said = directory.read_info()
    except RecordError:
        said = None
    if said != record.info:
        directory.write_info(record.info)
    fault = metrics_fault(record)
    if fault is None:
        return None
    assert record.result is not None
    checkpoint = load_newest_checkpoint(directory.checkpoints, record.info.signature)
    lines = checkpoint["state"].get("metrics") if checkpoint else None
    if lines is None or len(lines) != record.result.get("epochs"):
        return f"{fault}, and no checkpoint holds them; the result stands, curves are incomplete"
    directory.write_metrics(lines)
    return None


def resume_metrics(directory: RunDirectory, epochs: int, known: list[str] | None) -> list[str]:
    """The lines of metrics.jsonl of a run that goes on with epoch `epochs`; the file then holds these and no others.

    Args:
        known: the lines as the checkpoint holds them; None for one that was written before checkpoints held them.

    Raises:
        RecordError: the file lacks an epoch and the checkpoint does not hold it.
    """
    found = {line["epoch"]: json.dumps(line) for line in directory.read_metrics(skip_damaged=True)}
    numbers = range(epochs)
    missing = (
        [n for n in numbers if n not in found] if known is None else [n for n in numbers if found.get(n) != known[n]]
    )
    if missing and known is None:
        raise RecordError(
            f"{directory.path / 'metrics.jsonl'} lacks epochs {missing}, and the checkpoint, which an earlier version "
            "wrote, does not hold them. Remove the newest checkpoint to go on from the one before it, or the "
            "checkpoints folder to start anew"
        )
    if missing:
        print(f"{directory.path / 'metrics.jsonl'}: epochs {missing} written anew from the checkpoint", file=sys.stderr)
    lines = [found[n] for n in numbers] if known is None else known
    directory.write_metrics(lines)
    return list(lines)
