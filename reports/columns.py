"""The columns of every table: heading, meaning, and how a cell is written for people and for machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reports.analysis import Entry, Table
from reports.numbers import Number
from reports.rows import is_random
from reports.summary import Summary

GIB = 1024.0**3
NOT_APPLICABLE = "–"


@dataclass(frozen=True)
class Column:
    """One column: its key in CSV, the heading (two lines), and how a cell is written.

    Attributes:
        show: text for people; "" where nothing was measured.
        raw: full precision for CSV and for sorting.
        left: aligned to the left.
        paper: only in tables of the profile `paper`.
        wide: only where there is room (page, CSV, Markdown), not in a terminal or on paper.
        detail: folded away where the page is narrow, and printed in a table of its own.
        help: what the number is, for a legend.
        applies: whether a row can have such a number at all; a published cell has no spread between searches.
    """

    key: str
    heading: tuple[str, str]
    show: Callable[[Entry], str]
    raw: Callable[[Entry], object]
    help: str = ""
    left: bool = False
    paper: bool = False
    wide: bool = False
    detail: bool = False
    applies: Callable[[Entry], bool] = lambda entry: True

    def text(self, entry: Entry) -> str:
        """The cell for people: an en dash where a row can have no such number, empty where none was measured."""
        return self.show(entry) if self.applies(entry) else NOT_APPLICABLE


def fixed(value: float | None, digits: int, scale: float = 1.0, sign: bool = False) -> str:
    return "" if value is None else f"{value / scale:{'+' if sign else ''}.{digits}f}"


def counted(value: float | None) -> str:
    """Millions, to three or four significant digits."""
    if value is None:
        return ""
    return f"{value / 1e6:.{0 if value >= 1e8 else 2 if value >= 1e6 else 3}f}"


def hours(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def gib(value: float | None) -> str:
    return "" if value is None else f"{value / GIB:.2f}"


def _rank(entry: Entry) -> str:
    return f"{entry.rank} {entry.letters}".strip() if entry.rank else ""


def _searched(entry: Entry) -> bool:
    return entry.row.searched


def _retrains(entry: Entry) -> str:
    low, high = entry.summary.retrains
    return str(low) if low == high else f"{low}-{high}"


def _interval(entry: Entry) -> str:
    return "" if entry.interval is None else f"{entry.interval.low:.2f}-{entry.interval.high:.2f}"


def _seeds_wanted(entry: Entry) -> str:
    wanted = entry.seeds_wanted
    return "" if wanted is None else f"{wanted[0.2]}/{wanted[0.3]}"


def _published(entry: Entry) -> str:
    reference = entry.reference
    if reference is None or reference.value is None:
        return ""
    text = f"{reference.value:.2f}" + ("" if reference.std is None else f"±{reference.std:.2f}")
    return f"({text})" if entry.verdict and not entry.verdict.comparable else text


def _spent(summary: Summary) -> str:
    if summary.evaluations is None:
        return ""
    several = summary.different is not None and summary.different < summary.evaluations
    return f"{summary.evaluations:.4g}" + (f" ({summary.different:.4g})" if several else "")


def _verdict(entry: Entry) -> str:
    return "" if entry.verdict is None else entry.verdict.shown


COLUMNS: tuple[Column, ...] = (
    Column(
        "rank",
        ("", "#"),
        _rank,
        lambda e: e.rank,
        "rank by mean test error; rows that share a letter cannot be separated (Holm-corrected tests)",
        left=True,
    ),
    Column("method", ("", "method"), lambda e: e.row.name, lambda e: e.row.name, "label in the experiment", left=True),
    Column(
        "search_seeds",
        ("search", "seeds"),
        lambda e: str(e.summary.searches),
        lambda e: e.summary.searches,
        "independent searches; 0 for a published cell",
    ),
    Column("retrain_seeds", ("retrain", "seeds"), _retrains, _retrains, "retrainings of each search's architecture"),
    Column(
        "test_error",
        ("test", "error %"),
        lambda e: fixed(e.summary.error, 2),
        lambda e: e.summary.error,
        "mean over searches of the mean over their retrainings; last epoch",
    ),
    Column(
        "std_searches",
        ("± betw.", "searches"),
        lambda e: fixed(e.summary.std_searches, 2),
        lambda e: e.summary.std_searches,
        "standard deviation between the searches' means",
        applies=_searched,
    ),
    Column(
        "std_retrains",
        ("± betw.", "retrain."),
        lambda e: fixed(e.summary.std_retrains, 2),
        lambda e: e.summary.std_retrains,
        "standard deviation between retrainings of one architecture, pooled",
        detail=True,
    ),
    Column(
        "interval",
        ("95 %", "interval"),
        _interval,
        lambda e: None if e.interval is None else f"{e.interval.low} {e.interval.high}",
        "Student's 95 % interval of the mean test error; empty for one search, or where all gave the same",
    ),
    Column(
        "ri",
        ("RI", "%"),
        lambda e: fixed(e.improvement.value if e.improvement else None, 2, sign=True),
        lambda e: e.improvement.value if e.improvement else None,
        "relative improvement of accuracy over random sampling (Yang et al., ICLR 2020)",
        applies=lambda e: not is_random(e.row),
    ),
    Column(
        "params",
        ("params", "M"),
        lambda e: counted(e.summary.params),
        lambda e: e.summary.params,
        "parameters at inference, without auxiliary head",
    ),
    Column(
        "params_nonzero",
        ("nonzero", "M"),
        lambda e: counted(e.summary.params_nonzero),
        lambda e: e.summary.params_nonzero,
        "parameters that are not masked to zero",
        detail=True,
    ),
    Column(
        "macs",
        ("MACs", "M"),
        lambda e: counted(e.summary.macs),
        lambda e: e.summary.macs,
        "multiply-accumulates of one image, convolutions and linear layers",
    ),
    Column(
        "macs_sparse",
        ("sparse", "M"),
        lambda e: counted(e.summary.macs_sparse),
        lambda e: e.summary.macs_sparse,
        "the same, masked weights not counted",
        detail=True,
    ),
    Column(
        "evaluations",
        ("evalu-", "ations"),
        lambda e: _spent(e.summary),
        lambda e: e.summary.evaluations,
        "proposals that a search had scored, and the different networks among them where some came again; mean over "
        "searches",
        wide=True,
    ),
    Column(
        "search_hours",
        ("search", "dev-h"),
        lambda e: hours(e.summary.search_hours),
        lambda e: e.summary.search_hours,
        "device-hours of all searches of the row together",
    ),
    Column(
        "search_memory",
        ("search", "GiB"),
        lambda e: gib(e.summary.search_memory),
        lambda e: e.summary.search_memory,
        "peak memory of the search (CSV: bytes)",
        applies=lambda e: e.summary.search_hours != 0,
        detail=True,
    ),
    Column(
        "train_memory",
        ("train", "GiB"),
        lambda e: gib(e.summary.train_memory),
        lambda e: e.summary.train_memory,
        "peak memory of the retraining (CSV: bytes)",
        detail=True,
    ),
    Column(
        "latency_ms",
        ("latency", "ms"),
        lambda e: fixed(e.summary.latency_ms, 2),
        lambda e: e.summary.latency_ms,
        "forward pass, batch size in the CSV",
        wide=True,
        detail=True,
    ),
    Column(
        "seeds_wanted",
        ("n for", ".2/.3"),
        _seeds_wanted,
        _seeds_wanted,
        "searches per row with which Welch's test shows a difference of 0.2 and of 0.3 points from a row of equal "
        "spread, after Holm's correction over the table's pairs (80 % power)",
        wide=True,
        applies=_searched,
        detail=True,
    ),
    Column(
        "published",
        ("published", "error %"),
        _published,
        lambda e: e.reference.value if e.reference else None,
        "published test error; in parentheses where it is not comparable",
        paper=True,
    ),
    Column(
        "verdict",
        ("", "verdict"),
        _verdict,
        _verdict,
        "computed from both intervals, of what was made alike",
        left=True,
        wide=True,
    ),
)


def _measured_elsewhere(found: Number) -> Column:
    def text(entry: Entry) -> str:
        value = found.of(entry.row)
        return "" if value is None else f"{value:.4g}"

    return Column(found.name, found.heading, text, lambda entry: found.of(entry.row), found.help, wide=True)


def every_column(table: Table) -> list[Column]:
    """All that a table may have: `COLUMNS`, and before the published values the numbers measured elsewhere."""
    first = next(index for index, column in enumerate(COLUMNS) if column.paper)
    return [*COLUMNS[:first], *map(_measured_elsewhere, table.numbers), *COLUMNS[first:]]


def columns(table: Table, wide: bool = True) -> list[Column]:
    """The columns a table has: published values only at the profile `paper`, and none that is empty throughout.

    Rank, seeds, error and counts always stand, empty or not. Numbers measured elsewhere come last but for the verdict.
    """
    whole = ("ri", "interval", "evaluations", "search_memory", "train_memory", "latency_ms")
    optional = (*whole, "seeds_wanted", "published", "verdict")
    return [
        column
        for column in every_column(table)
        if (wide or not column.wide)
        and (table.paper or not column.paper)
        and (column.key not in optional or any(column.show(entry) for entry in table.entries))
    ]


DENSE_COUNTS = {"params_nonzero": "params", "macs_sparse": "macs"}
"""Counts that say something only where they differ from another column."""


def folded(table: Table, column: Column) -> bool:
    """Whether a column may be folded away in this table: a detail, or a count that repeats the one beside it."""
    dense = DENSE_COUNTS.get(column.key)
    if dense is None:
        return column.detail
    return all(column.text(entry) == next(c for c in COLUMNS if c.key == dense).text(entry) for entry in table.entries)
