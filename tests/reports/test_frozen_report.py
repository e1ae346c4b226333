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
from reports.controlled.plots import all_plots
from reports.controlled.questions import Anchors, ComparisonSetting, Question
from reports.controlled.tables import comparison_tables, to_csv, to_latex, to_markdown, to_text
from reports.inherited import tables as as_inherited
from reports.inherited.plots import front
from reports.inherited.rows import InheritedRow, InheritedSetting
from reports.inherited.tables import inherited_tables
from reports.page import Figure
from reports.style import Palette
from tests.reports.synthetic import experiment
from tests.reports.test_fronts import with_a_front

FROZEN = Path(__file__).parents[1] / "frozen" / "report.json"
TABLES = ("csv", "md", "tex", "html")


def digests(root: Path) -> dict[str, str]:
    """Of every file of a report and of what a terminal shows; figures by their names, titles and captions alone."""
    folders = [experiment(root), experiment(root, profile="quick", searches=3, seed=1), with_a_front(root)]
    with (
        patch("reports.figures._order", lambda plot, name, output: Figure(plot.title, plot.caption, name, plot.wide)),
        patch("reports.figures._order_cells", lambda table, output: ({}, set())),
    ):
        result = build(folders, root / "report", TABLES)
    texts = {"terminal": result.table, **{str(path.relative_to(root)): path.read_text() for path in result.files}}
    texts |= {"comparisons": comparisons(), "inherited": inherited()}
    return {name: hashlib.sha256(_lasting(text, root).encode()).hexdigest()[:16] for name, text in texts.items()}


def comparisons() -> str:
    """A question in three settings, and what heads and ends its table."""
    setting = ComparisonSetting("asked", "quick", "digits")
    settings = [{"relu": 80.0 + n, "prelu": 84.0 + n / 2, "swish": 79.5} for n in range(3)]
    question = Question(setting, "activation", "act", list(settings[0]), settings, [0.01], seeds=2)
    anchors = Anchors(setting, "anchors", {"one": [70.0, 80.0, 75.0], "other": [60.0, 61.0, 59.0]})
    (table,) = comparison_tables([question], [anchors])
    plots = [plot.caption for plot in all_plots(table, Palette(["activation"]))]
    return "\n".join([to_text(table), to_csv(table), to_markdown(table), to_latex(table), *plots])


def inherited() -> str:
    setting = InheritedSetting("cifar10", "quick", "3000 training images")
    rows = [
        InheritedRow(setting, "us_net", "us_net", f"{n}", {"width": n}, n * 1e6, n * 1e5, {0: 70.0 + n, 1: 71.5 + n},
                     {0: 69.0 + n, 1: 70.25 + n}, {0: 1.5}, {0})
        for n in (1, 2, 3)
    ]  # fmt: skip
    (table,) = inherited_tables(rows)
    plot = front(table, Palette(["us_net"]))
    forms = (as_inherited.to_text, as_inherited.to_csv, as_inherited.to_markdown, as_inherited.to_latex)
    return "\n".join([*(form(table) for form in forms), plot.title if plot else "", plot.caption if plot else ""])


def _lasting(text: str, root: Path) -> str:
    """Without the place and the time."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text.replace(str(root), "ROOT"))


def test_reports_of_classifiers_are_the_same_to_the_byte(tmp_path: Path) -> None:
    assert digests(tmp_path) == json.loads(FROZEN.read_text())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FROZEN.write_text(json.dumps(digests(Path(folder)), indent=1) + "\n")
