"""The members of fronts, a line each: what a search knew of them, and what those that were retrained do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from methods.sampling.fronts import Individual
from reports import listing
from reports.analysis import Table
from reports.fronts.found import Found, fronts, reference
from reports.listing import Column, Listing

TITLE = "Fronts of searches with two objectives"


@dataclass(frozen=True)
class Line:
    """A member of a search's front."""

    found: Found
    member: Individual

    @property
    def retrained(self) -> dict[str, float]:
        return dict(self.found.retrained.get(self.member.architecture, {}))

    @property
    def chosen(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.member.chosen.items())


COLUMNS: tuple[Column[Line], ...] = (
    Column("search", "search", "row that asked for it", lambda x: x.found.row, lambda x: x.found.row, left=True),
    Column("search_seed", "seed", "search seed", lambda x: str(x.found.seed), lambda x: x.found.seed),
    Column(
        "generation", "generation", "in which it was bred, from 0",
        lambda x: "" if x.member.generation is None else str(x.member.generation), lambda x: x.member.generation,
    ),
    Column(
        "valid_error", "valid error %", "as the search was told",
        lambda x: f"{x.member.error:.2f}", lambda x: x.member.error,
    ),
    Column("counted", "counted", "what is counted", lambda x: x.found.objectives.on, lambda x: x.found.objectives.on),
    Column("count", "count", "of the network", lambda x: f"{x.member.count:,}", lambda x: x.member.count),
    Column(
        "retrained", "test error % of rows", "rows that retrained it",
        lambda x: ", ".join(f"{name} {error:.2f}" for name, error in x.retrained.items()),
        lambda x: ", ".join(f"{name} {error!r}" for name, error in x.retrained.items()), left=True,
    ),
    Column("chosen", "decisions", "option of every decision", lambda x: x.chosen, lambda x: x.chosen, left=True),
)  # fmt: skip


def front_listing(table: Table) -> Listing | None:
    """None where no search of the table has two objectives."""
    found = fronts(table)
    if not found:
        return None
    lines = [Line(each, member) for each in found for member in each.front]
    setting = table.setting
    return Listing(
        TITLE,
        COLUMNS,
        [[column.text(line) for column in COLUMNS] for line in lines],
        [[column.raw(line) for column in COLUMNS] for line in lines],
        list(_notes(found)),
        {"dataset": setting.dataset, "profile": setting.profile, "details": setting.details},
    )


def _notes(found: list[Found]) -> Iterator[str]:
    yield (
        "no other evaluated network has a smaller error and no larger count; by rising count. Errors are those that "
        "the search was told, on the part of the training images that it chose by"
    )
    for each in found:
        on = each.objectives.on
        largest = reference(found, on)
        volumes = each.volumes(largest)
        shown = ", ".join(f"{volume:.4f}" for volume in volumes)
        fell = any(later < sooner for sooner, later in pairwise(volumes))
        yield (
            f"{each.row}, search seed {each.seed}: {len(each.objectives.individuals)} evaluations; hypervolume after "
            f"each generation {shown}{'; it fell' if fell else ''} (error as a share times decades of {on}, up to "
            f"100 % and {largest:,.0f})"
        )


def to_text(table: Table) -> str:
    """For a terminal, which is too narrow for all decisions; empty without a front."""
    found = front_listing(table)
    if found is None:
        return ""
    narrow = Listing(found.title, found.columns[:-1], [line[:-1] for line in found.texts], notes=found.notes)
    return listing.to_text(narrow)


def to_csv(table: Table) -> str:
    found = front_listing(table)
    return listing.to_csv(found) if found else ""


def to_markdown(table: Table) -> str:
    found = front_listing(table)
    return listing.to_markdown(found) if found else ""


def to_latex(table: Table) -> str:
    found = front_listing(table)
    return listing.to_latex(found) if found else ""


def sections(table: Table) -> list[dict[str, Any]]:
    """For the page."""
    found = front_listing(table)
    if found is None:
        return []
    headings = [(column.heading, column.left) for column in found.columns]
    return [{"title": found.title, "headings": headings, "lines": found.texts, "notes": found.notes}]
