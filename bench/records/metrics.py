"""The lines of metrics.jsonl, one an epoch: written and read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.records.run_info import RecordError


def metrics_line(epoch: int, step: int, values: Mapping[str, Any], wall_s: float, device_s: float) -> str:
    """See `bench.records.directory.RunDirectory.append_metrics`."""
    line = {"epoch": epoch, "step": step, "time": time.time(), "wall_s": wall_s, "device_s": device_s}
    return json.dumps({**line, "values": dict(values)})


def complete_lines(lines: list[bytes], path: Path, skip_damaged: bool) -> Iterator[dict[str, Any]]:
    """The content of each line; see `bench.records.directory.RunDirectory.read_metrics`.

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
