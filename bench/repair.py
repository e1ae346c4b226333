"""A valid result makes a run done; here the files beside it are brought in line with it."""

from __future__ import annotations

from bench.checkpoint import load_newest_checkpoint
from bench.records import Record, RecordError, RunDirectory


def is_settled(record: Record) -> bool:
    """Whether a finished run's files say what its result says."""
    try:
        return record.directory.read_info() == record.info and metrics_fault(record) is None
    except RecordError:
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
