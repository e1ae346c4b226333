"""Reports of classifiers stay the same, byte by byte: tables, raw rows, the page and its figures' captions.

`tests/frozen/report.json` holds the digests of what was written before reports asked the task for its metric. Where a
report is meant to change, `python -m tests.reports.test_frozen_report` writes them anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from unittest.mock import patch

from reports.build import build
from reports.page import Figure
from tests.reports.synthetic import experiment
from tests.reports.test_fronts import with_a_front

FROZEN = Path(__file__).parents[1] / "frozen" / "report.json"
TABLES = ("csv", "md", "tex", "html")


def digests(root: Path) -> dict[str, str]:
    """Of every file of a report and of what a terminal shows; figures by their names, titles and captions alone."""
    folders = [experiment(root), experiment(root, profile="quick", searches=3, seed=1), with_a_front(root)]
    with (
        patch("reports.figures.drawn", lambda plot, name, output: Figure(plot.title, plot.caption, name, plot.wide)),
        patch("reports.figures._draw_cells", lambda table, output: ({}, set())),
    ):
        result = build(folders, root / "report", TABLES)
    texts = {"terminal": result.table, **{str(path.relative_to(root)): path.read_text() for path in result.files}}
    return {name: hashlib.sha256(_lasting(text, root).encode()).hexdigest()[:16] for name, text in texts.items()}


def _lasting(text: str, root: Path) -> str:
    """Without the place and the time."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text.replace(str(root), "ROOT"))


def test_reports_of_classifiers_are_the_same_to_the_byte(tmp_path: Path) -> None:
    assert digests(tmp_path) == json.loads(FROZEN.read_text())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FROZEN.write_text(json.dumps(digests(Path(folder)), indent=1) + "\n")
