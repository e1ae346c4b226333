"""Which of the CPU's equivalent ways is fastest on this processor: measured once, in about a second, and remembered.

The answers lie in `RUNS_DIR/calibration.json` by processor, torch version, threads, whether oneDNN is on, and Numba's
version. Only `dasbench run`, `dasbench speed` and a job on a CPU node measure; a run reads the answer when it begins,
records it in its run.json, and from then on goes by its record. `DASBENCH_CALIBRATION=0` leaves everything at the
defaults, measured or not.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench.config import parse
from bench.device.cpu_alternatives import decide, measure
from bench.device.engine import device_name
from bench.records.directory import make_folder, write_atomically
from methods.parts import compiled
from methods.parts.cpu_choices import DEFAULT_CHOICES, CpuChoices

FILE_NAME = "calibration.json"
SWITCH = "DASBENCH_CALIBRATION"


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and from which times in milliseconds, by
    `bench.device.cpu_alternatives.time_name`.

    Raises:
        KeyError: a time is missing.
    """

    choices: CpuChoices
    times_ms: dict[str, float]

    def __post_init__(self) -> None:
        decide(self.times_ms)


def calibrate(runs_dir: Path, threads: int) -> CpuChoices:
    """The choices for this processor; measured now if they are not in `runs_dir`.

    Raises:
        RecordError: they cannot be written there.
    """
    if os.environ.get(SWITCH) == "0":
        return DEFAULT_CHOICES
    known = find(runs_dir, threads)
    if known is None:
        make_folder(runs_dir)
        times = measure(threads)
        known = Calibration(decide(times), times)
        content = json.dumps({**read_kept(runs_dir / FILE_NAME), key(threads): asdict(known)}, indent=1)
        write_atomically(runs_dir / FILE_NAME, content + "\n")
    return known.choices


def recall(runs_dir: Path, threads: int) -> CpuChoices:
    """The choices measured earlier for this processor, or the defaults. Measures nothing."""
    known = None if os.environ.get(SWITCH) == "0" else find(runs_dir, threads)
    return known.choices if known else DEFAULT_CHOICES


def find(runs_dir: Path, threads: int) -> Calibration | None:
    """What was measured for this processor; None where it was not, or cannot be read any more."""
    try:
        return parse(Calibration, read_kept(runs_dir / FILE_NAME).get(key(threads)), FILE_NAME)
    except (ValueError, KeyError, TypeError):
        return None


def key(threads: int) -> str:
    """What the choices depend on."""
    onednn = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    processor = device_name(torch.device("cpu"))
    numba = "no Numba" if compiled.why_not() else f"Numba {version('numba')}"
    return f"{processor}, torch {torch.__version__}, threads {threads}, oneDNN {'on' if onednn else 'off'}, {numba}"


def read_kept(path: Path) -> dict[str, Any]:
    """What was measured earlier, of a file beside the runs; nothing where it is not there or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
