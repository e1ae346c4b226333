"""The lines of metrics.jsonl, one an epoch: written, read, and after a kill brought in line with the checkpoint."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.run_info import RecordError

if TYPE_CHECKING:
    from bench.records import RunDirectory


def metrics_line(epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float) -> str:
    """See `bench.records.RunDirectory.append_metrics`."""
    line = {"epoch": epoch, "step": step, "time": time.time(), "wall_s": wall_s, "device_s": device_s}
    return json.dumps({**line, "values": dict(values)})


def complete_lines(lines: list[bytes], path: Path, skip_damaged: bool) -> Iterator[dict[str, Any]]:
    """The content of each line; see `bench.records.RunDirectory.read_metrics`.

    Only a last line that is no JSON was cut short by a kill; JSON of another form is damaged wherever it stands.
    """
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict) and isinstance(line.get("epoch"), int) and isinstance(line.get("values"), dict):
            yield line
        elif (number < len(lines) or line is not None) and not skip_damaged:
            raise RecordError(
                f"{path}: line {number} is damaged; `dasbench run` writes the file anew from the run's checkpoint"
            )


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
