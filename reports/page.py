"""The one HTML page: tables, provenance, figures and checklist in a file that needs nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.records.directory import Record
from methods.tasks import CLASSIFICATION, Metric
from reports import coverage, ratios
from reports.analysis import LEVEL, Entry, Table
from reports.checklist import Item
from reports.column import Column
from reports.columns import columns, every_column, folded
from reports.fronts import tables as fronts_as
from reports.intermediate import intermediate_lines
from reports.references import Reference
from reports.row_columns import COLUMNS, small_differences
from reports.rows import part
from reports.style import Palette
from reports.verdicts import Verdict

TEMPLATES = Path(__file__).parent / "templates"
NAMING = ("rank", "method")
"""The columns that stay in sight, and that begin every part of a printed table."""
VERSIONS = ("python", "torch", "torchvision", "cuda", "cudnn")

DIFFERENCES = "at least {:.1f} % between rows of {} to {} units; beyond that it was not simulated".format(
    *coverage.differences()
)
RELATIVE = (
    "Relative improvement: 100 (acc - acc of random sampling) / acc of random sampling (Yang et al., ICLR 2020). "
    f"Its interval is Welch's, as those of differences of rows that are not paired; simulated coverage: {DIFFERENCES}."
)
GAIN = (
    "Gain: the row's mean less that of random sampling, such that higher is better, in the metric's unit. "
    f"Its interval is Welch's, as those of differences of rows that are not paired; simulated coverage: {DIFFERENCES}."
)
METHOD_NOTES = (
    "The 95 % interval: Student's, over the means of the searches, each of which weighs the same; of a given "
    "architecture over its retrainings, so that it covers retraining noise only. Where all seeds gave the same {same} "
    "there is none. The notes below a table name the coverage found by simulation for its numbers of searches.",
    "Letters: t tests of all pairs of rows, paired by seed where both rest on one search or dense network, otherwise "
    "Welch's; p-values corrected with Holm's method. Sharing a letter means not separated, not equal.",
    "{gain}",
    "n for {differences}: searches per row with which Welch's test finds such a difference in 80 % of the cases at "
    "5 %, at the row's standard deviation between searches and after Holm's correction over all pairs of the table.",
    "Verdict: a row reproduces a published value if the gap is within both 95 % margins, added in quadrature, or the "
    "row is better. Only what was made alike is compared: by the same recipe, at the same size, the best search with "
    "the best search, the best epoch with the best epoch; where the kind of epoch is not known, a verdict holds for "
    "both. A published value in parentheses is not comparable.",
)


@dataclass
class Figure:
    """An inline figure; `wide` spans the page."""

    title: str
    caption: str
    svg: str
    wide: bool = False


@dataclass
class Section:
    """One table with everything that is shown with it; `drawings` by row name: title and SVG of the found cells."""

    table: Table
    palette: Palette
    figures: Sequence[Figure]
    drawings: dict[str, tuple[str, str]]
    checklist: Sequence[Item]


def render(
    title: str,
    summary: str,
    sections: Sequence[Section],
    problems: Sequence[str],
    lookups: Sequence[Mapping[str, Any]] = (),
    inherited: Sequence[Mapping[str, Any]] = (),
    controlled: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page's HTML. Everything from the records is escaped; figures are our own SVG.

    Args:
        lookups: sections of look-ups (`reports.lookups.section.LookupSection.content`).
        inherited: sections of inherited weights (`reports.inherited.section.InheritedSection.content`).
        controlled: sections of controlled comparisons (`reports.controlled.section.ComparisonSection.content`).
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=title,
        summary=summary,
        problems=problems,
        lookups=lookups,
        lookup_legend={column.heading: column.help for section in lookups for column in section["columns"]},
        inherited=inherited,
        inherited_legend={column.heading: column.help for section in inherited for column in section["columns"]},
        controlled=controlled,
        controlled_legend={column.heading: column.help for section in controlled for column in section["columns"]},
        sections=[_section(index, section) for index, section in enumerate(sections)],
        legend=list({(c.key, c.help): c for s in sections for c in every_column(s.table)}.values()) or COLUMNS,
        ratio_title=ratios.TITLE,
        ratio_headings=ratios.HEADINGS,
        ratio_note=ratios.NOTE,
        method_notes=_method_notes([section.table for section in sections]),
        css=(TEMPLATES / "page.css").read_text(),
        js=(TEMPLATES / "page.js").read_text(),
    )


def _method_notes(tables: Sequence[Table]) -> list[str]:
    """How to read the tables, of whatever tasks they are."""
    metrics = list(dict.fromkeys(table.metric for table in tables)) or [CLASSIFICATION.headline]
    gains = {metric.complement is not None: None for metric in metrics}
    said = {
        "gain": " ".join(RELATIVE if relative else GAIN for relative in gains),
        "same": " or ".join(dict.fromkeys(metric.name for metric in metrics)),
        "differences": ", ".join(dict.fromkeys(small_differences(metric) for metric in metrics)),
    }
    return [line.format(**said) for line in METHOD_NOTES]


def _run_columns(table: Table) -> list[str]:
    measured = f"test {table.metric.named}"
    ends = ("status", "architecture", "commit", "device", "run directory")
    return ["phase", "search seed", "retrain seed", measured, *ends]


def _section(index: int, section: Section) -> dict[str, Any]:
    table = section.table
    chosen = columns(table)
    more = {column.key for column in chosen if folded(table, column)}
    counts = Counter(item.status for item in section.checklist)
    return {
        "id": f"table-{index}",
        "title": table.setting.title,
        "caption": f"Test {table.metric.name} of the last epoch.",
        "run_columns": _run_columns(table),
        "notes": table.notes,
        "columns": chosen,
        "more": more,
        "rest": {*NAMING, *more},
        "rows": [_row(f"t{index}r{i}", entry, chosen, section) for i, entry in enumerate(table.entries)],
        "intermediate": intermediate_lines(table),
        "ratios": list(ratios.sections(table)),
        "fronts": fronts_as.sections(table),
        "comparisons": list(_comparisons(table)),
        "plots": section.figures,
        "checklist": section.checklist,
        "checklist_summary": ", ".join(f"{n} {status}" for status, n in counts.most_common()),
    }


def _row(name: str, entry: Entry, chosen: Sequence[Column], section: Section) -> dict[str, Any]:
    runs = [*entry.row.trains, *entry.row.unfinished, *entry.row.searches]
    environments = [run.info.environment for run in runs]
    words = [
        entry.row.name,
        entry.row.method,
        *(str(e.get(key, "")) for e in environments for key in ("device", "commit")),
    ]
    drawing_title, drawing = section.drawings.get(entry.row.name, ("", ""))
    references = [(entry.reference, entry.verdict)] if entry.reference else []
    return {
        "id": name,
        "name": entry.row.name,
        "text": " ".join(dict.fromkeys(words)).lower(),
        "colour": section.palette.colour(entry.row.name),
        "cells": [_cell(column, entry) for column in chosen],
        "facts": list(_facts(entry, runs)),
        "references": [_published(entry.row.setting.metric, *pair) for pair in [*references, *entry.other_references]],
        "cells_title": drawing_title,
        "cells_svg": drawing,
        "runs": [_run(run, section.table.metric) for run in runs],
        "configs": list(_configs(entry)),
    }


def _cell(column: Column, entry: Entry) -> dict[str, Any]:
    raw = column.raw(entry)
    title = ""
    if column.key == "published" and entry.reference:
        title = f"{entry.reference.citation}; {entry.reference.measured}"
    if column.key == "verdict" and entry.verdict:
        title = entry.verdict.reason
    value = "" if raw is None else str(raw)
    return {"key": column.key, "text": column.text(entry), "value": value, "left": column.left, "title": title}


def _facts(entry: Entry, runs: Sequence[Record]) -> Iterable[tuple[str, str]]:
    """What all runs of a row have in common, or how many share it."""
    yield "method", entry.row.method
    presets = {run.info.preset for run in entry.row.searches if run.info.preset}
    if presets:
        yield "options", f"preset {', '.join(sorted(presets))}, with what the experiment says itself"
    if entry.improvement and entry.improvement.low is not None:
        found, metric = entry.improvement, entry.row.setting.metric
        value, low, high = (f"{each:+.{metric.digits}f}" for each in (found.value, found.low, found.high))
        name = "relative improvement" if metric.complement is not None else "gain over random sampling"
        yield name, f"{value} {found.unit} (95 %: {low} to {high})"
    if entry.verdict and entry.verdict.reason:
        yield "verdict", f"{entry.verdict.shown}: {entry.verdict.reason}"
    for note in entry.row.notes:
        yield "note", note
    for key in ("command", "commit", "device", "host"):
        yield key, _shared(runs, lambda run, key=key: str(run.info.environment.get(key) or ""))
    yield "versions", _shared(runs, _versions)
    yield "recipe", f"{entry.row.setting.recipe} {entry.row.setting.recipe_hash}"


def _versions(run: Record) -> str:
    environment = run.info.environment
    return ", ".join(f"{key} {environment[key]}" for key in VERSIONS if environment.get(key))


def _shared(runs: Sequence[Record], of: Any) -> str:
    counts = Counter(of(run) or "not recorded" for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    shown = "; ".join(f"{value} ({n} runs)" for value, n in counts.most_common(6))
    return shown + (f"; {len(counts) - 6} more" if len(counts) > 6 else "")


def _run(run: Record, metric: Metric) -> list[str]:
    result, info = run.result or {}, run.info
    value = part(run, "metrics").get(f"test_{metric.key}")
    commit = str(info.environment.get("commit") or "")[:10] + ("+" if info.environment.get("dirty") else "")
    return [
        info.phase,
        "" if info.search_seed is None else str(info.search_seed),
        "" if info.retrain_seed is None else str(info.retrain_seed),
        metric.written(value) if isinstance(value, int | float) else "",
        info.status + (f": {info.error}" if info.error else ""),
        str(result.get("architecture") or ""),
        commit,
        str(info.environment.get("device") or ""),
        str(run.path),
    ]


def _configs(entry: Entry) -> Iterable[tuple[str, str]]:
    """The configuration of one run of each phase; the others differ in seeds alone."""
    seen: set[str] = set()
    for run in [*entry.row.trains, *entry.row.searches]:
        if run.info.phase not in seen:
            seen.add(run.info.phase)
            yield f"Configuration: {run.info.name}", json.dumps(run.info.config, indent=1, sort_keys=True)


def _published(metric: Metric, reference: Reference, verdict: Verdict | None) -> str:
    value = "value not available" if reference.value is None else metric.said(reference.value)
    parts = [value, reference.citation, reference.measured, reference.note]
    if verdict:
        parts.append(f"verdict: {verdict.shown}" + (f" ({verdict.reason})" if verdict.reason else ""))
    return "; ".join(part for part in parts if part)


def _comparisons(table: Table) -> Iterable[list[str]]:
    order = {entry.row.name: entry.rank or 0 for entry in table.entries}
    for pair, found in sorted(table.comparisons.items(), key=lambda item: sorted(order[name] for name in item[0])):
        first, second = sorted(pair, key=lambda name: order[name])
        adjusted = table.adjusted.get(pair)
        yield [
            first,
            second,
            table.metric.written(abs(found.difference)),
            "" if found.low is None or found.high is None else f"{_half(table, found.low, found.high)} either side",
            found.test,
            str(found.units),
            "" if found.p is None else f"{found.p:.4f}",
            "" if adjusted is None else f"{adjusted:.4f}",
            "" if adjusted is None else "yes" if adjusted < LEVEL else "no",
        ]


def _half(table: Table, low: float, high: float) -> str:
    return table.metric.written((high - low) / 2)
