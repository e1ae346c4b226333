"""A table of look-ups as a listing: as text for a terminal, as CSV, Markdown and LaTeX."""

from __future__ import annotations

from reports import listing
from reports.listing import Listing
from reports.lookups.columns import Cell, lookup_columns
from reports.lookups.tables import LookupEntry, LookupTable

DEVIATIONS = {"test_std": "test", "rank_std": "rank", "regret_std": "regret"}


def as_listing(table: LookupTable, without: str = "") -> Listing:
    """Args:
    without: the key of a column that is left out.
    """
    chosen = [column for column in lookup_columns(table) if column.key != without]
    setting = table.setting
    return Listing(
        setting.title,
        chosen,
        [[column.text(entry) for column in chosen] for entry in table.entries],
        [[*(column.raw(entry) for column in chosen), *_deviations(entry)] for entry in table.entries],
        [*table.notes, *table.verdicts],
        {
            "table": setting.table,
            "dataset": setting.dataset,
            "profile": setting.profile,
            "epochs": setting.epochs,
            "version": setting.version,
        },
        tuple(DEVIATIONS),
    )


def _deviations(entry: LookupEntry) -> list[Cell]:
    found = [entry.row.values(what) for what in DEVIATIONS.values()]
    return [float(values.std(ddof=1)) if len(values) > 1 else None for values in found]


def to_text(table: LookupTable) -> str:
    """For a terminal, where verdicts stand among the notes alone."""
    return listing.to_text(as_listing(table, without="verdict"))


def to_csv(table: LookupTable) -> str:
    return listing.to_csv(as_listing(table))


def to_markdown(table: LookupTable) -> str:
    return listing.to_markdown(as_listing(table))


def to_latex(table: LookupTable) -> str:
    return listing.to_latex(as_listing(table))
