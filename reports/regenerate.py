"""Committed tables made again from the packed records in `reports/results/<name>/records/` that they follow from.

`python -m reports.regenerate` (`make results`) restores each into a temporary folder and writes its tables anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.records.manifest import MANIFEST_NAME
from bench.records.unpacking import unpack
from reports.build import build

RESULTS = Path(__file__).parent / "results"
RECORDS = "records"
FORMATS = ("csv", "md")


def committed(results: Path = RESULTS) -> Iterator[Path]:
    """The folders of results that hold the records they follow from, by name."""
    for manifest in sorted(results.glob(f"*/{RECORDS}/{MANIFEST_NAME}")):
        yield manifest.parents[1]


def regenerate(result: Path, out: Path) -> list[Path]:
    """Write the tables of a folder of results into `out`; returns the files.

    Raises:
        RecordError: its packed records are not as they were packed.
        ReportError: nothing in them is finished.
    """
    with tempfile.TemporaryDirectory(prefix="dasbench-") as folder:
        runs_dir = Path(folder) / "runs"
        unpack(result / RECORDS, runs_dir)
        return build([runs_dir], out, FORMATS).files


def main() -> None:
    found = list(committed())
    if not found:
        print(f"No folder of {RESULTS} holds packed records; its README.md says how to add one")
    for result in found:
        files = regenerate(result, result)
        print(f"{result}: {', '.join(str(path.relative_to(result)) for path in files)}")


if __name__ == "__main__":
    main()
