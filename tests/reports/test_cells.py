"""Names of people in spreadsheets and in Markdown."""

from __future__ import annotations

import pytest

from reports.cells import csv_cell, markdown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["darts", "a=b", -1.5, 3, None, ""])
def test_everything_else_stays(value: object) -> None:
    assert csv_cell(value) == value


def test_markdown_shows_a_name_as_written() -> None:
    assert markdown("<img src=x>|[a](b) *c* `d`") == "&lt;img src=x&gt;\\|\\[a\\](b) \\*c\\* \\`d\\`"
    assert markdown("DARTS_V2") == "DARTS_V2"
