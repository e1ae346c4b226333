"""From run folders to a report on disk: tables, raw rows, plots and the page."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.records.directory import Record, RecordError, read_records, write_atomically
from bench.records.soundness import identity_fault
from reports import ratios
from reports.analysis import Table, analyse
from reports.controlled import tables as controlled_as
from reports.controlled.questions import questions_of
from reports.controlled.tables import ComparisonTable, comparison_tables
from reports.fronts import tables as fronts_as
from reports.heeded import cost_notes
from reports.inherited import tables as inherited_as
from reports.inherited.rows import inherited_rows
from reports.inherited.tables import InheritedTable, inherited_tables
from reports.lookups import formats as lookups_as
from reports.lookups.rows import lookup_rows
from reports.lookups.tables import LookupTable, lookup_tables
from reports.numbers import read_numbers
from reports.raw import runs_csv
from reports.table import to_csv, to_latex, to_markdown, to_text

FORMATS = ("csv", "md", "tex", "png", "svg", "pdf", "html")
_TABLES: dict[str, Callable[[Table], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
_RATIOS: dict[str, Callable[[Table], str]] = {"csv": ratios.to_csv, "md": ratios.to_markdown, "tex": ratios.to_latex}
_FRONTS: dict[str, Callable[[Table], str]] = {
    "csv": fronts_as.to_csv,
    "md": fronts_as.to_markdown,
    "tex": fronts_as.to_latex,
}
_LOOKUPS: dict[str, Callable[[LookupTable], str]] = {
    "csv": lookups_as.to_csv,
    "md": lookups_as.to_markdown,
    "tex": lookups_as.to_latex,
}
_INHERITED: dict[str, Callable[[InheritedTable], str]] = {
    "csv": inherited_as.to_csv,
    "md": inherited_as.to_markdown,
    "tex": inherited_as.to_latex,
}
_CONTROLLED: dict[str, Callable[[ComparisonTable], str]] = {
    "csv": controlled_as.to_csv,
    "md": controlled_as.to_markdown,
    "tex": controlled_as.to_latex,
}


class ReportError(ValueError):
    """Nothing to report on, or a request that cannot be met; the message names the next step."""


@dataclass
class ReportResult:
    """What was made.

    Attributes:
        table: the tables as text, for the terminal.
        files: everything written.
        problems: records that could not be read or used, one line each.
    """

    table: str
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """Every table of a report: of retrained rows, look-ups, inherited weights, and controlled comparisons."""

    retrained: Sequence[Table]
    lookups: Sequence[LookupTable]
    inherited: Sequence[InheritedTable]
    controlled: Sequence[ComparisonTable]

    @property
    def finished(self) -> bool:
        """Whether there is anything in them."""
        retrained = any(entry.summary.runs for table in self.retrained for entry in table.entries)
        return bool(self.lookups) or bool(self.inherited) or bool(self.controlled) or retrained

    @property
    def number(self) -> int:
        return len(self.retrained) + len(self.lookups) + len(self.inherited) + len(self.controlled)

    def text(self) -> str:
        """For a terminal."""
        retrained, inherited = map(_both, self.retrained), map(inherited_as.to_text, self.inherited)
        controlled = map(controlled_as.to_text, self.controlled)
        return "\n".join([*map(lookups_as.to_text, self.lookups), *retrained, *inherited, *controlled])


def build(folders: Sequence[Path], out: Path, formats: Iterable[str] = FORMATS) -> ReportResult:
    """Report on all runs below one or several experiment folders (`RUNS_DIR/<experiment>-<profile>`).

    Several folders are merged: a run that lies in two of them is counted once.

    Raises:
        ReportError: a folder that does not exist, no finished retraining, or an unknown format.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = sorted(set(wanted) - set(FORMATS))
    if unknown:
        raise ReportError(f"unknown format '{unknown[0]}'; known: {', '.join(FORMATS)}")
    with _uncollected():
        records, problems = gather(folders)
        tables, more = analyse(records)
        rows, wrong = lookup_rows(records)
        networks, misread = inherited_rows(records)
        questions, anchors, unasked = questions_of(records)
        controlled = comparison_tables(questions, anchors)
        found = Found(tables, lookup_tables(rows), inherited_tables(networks), controlled)
    numbers, unreadable = read_numbers(list(dict.fromkeys(record.path.parent for record in records)))
    for table in tables:
        table.numbers = [each for each in numbers if any(each.of(entry.row) is not None for entry in table.entries)]
        table.notes += cost_notes(table)
    problems += more + wrong + misread + unasked + unreadable
    if not found.finished:
        raise ReportError(nothing_finished(folders, records, problems))
    result = ReportResult(found.text(), problems=problems)
    try:
        with _settled():
            _write(found, problems, records, out, wanted, result.files)
    except (OSError, RecordError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise RecordError(
            f"cannot write the report to {out}: {cause.strerror or cause}; free space, or choose another folder "
            "with `dasbench report --out`"
        ) from None
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        result.table += f"\n{len(problems)} records or groups with problems:\n{lines}\n"
    return result


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles: what is read stays, and looking through it again and again is half the work."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.enable()


@contextmanager
def _settled() -> Iterator[None]:
    """What there is now is not looked through for cycles; what is drawn from here on is."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _both(table: Table) -> str:
    """A table, and below it those of learned, fixed and random ratios and of fronts, where it has the rows."""
    return "\n".join(filter(None, [to_text(table), ratios.to_text(table), fronts_as.to_text(table)]))


def gather(folders: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """Records of all folders. A folder that holds experiments (a RUNS_DIR) stands for all of them.

    Raises:
        ReportError: a folder is missing.
    """
    records: list[Record] = []
    problems: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise ReportError(
                f"no such folder: {folder}; run the experiment first, or give its RUNS_DIR with --runs-dir"
            )
        parts = (
            [folder] if any(folder.glob("*/run.json")) else sorted(path for path in folder.iterdir() if path.is_dir())
        )
        for part in parts:
            found, wrong = read_records(part)
            sound, changed = _unchanged(found)
            records += sound
            problems += wrong + changed
    return records, problems


def _unchanged(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Records that are the run they say they are, and one message for each other."""
    faults = [(record, identity_fault(vars(record.info))) for record in records]
    kept = [record for record, fault in faults if fault is None]
    return kept, [f"{record.path / 'run.json'}: {fault}; left out" for record, fault in faults if fault is not None]


def nothing_finished(folders: Sequence[Path], records: Sequence[Record], problems: Sequence[str]) -> str:
    """Why there is no table, and what to do."""
    where = ", ".join(map(str, folders))
    if not records:
        bad = f"; {len(problems)} records could not be read, the first: {problems[0]}" if problems else ""
        return f"no runs in {where}{bad}; start some with `dasbench run`"
    counts: dict[str, int] = {}
    for record in records:
        counts[record.info.status] = counts.get(record.info.status, 0) + 1
    states = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    return f"no finished retraining in {where} ({len(records)} runs: {states}); finish them with `dasbench run`"


def _write(
    found: Found,
    problems: list[str],
    records: Sequence[Record],
    out: Path,
    formats: Sequence[str],
    files: list[Path],
) -> None:
    """All files of the report; problems met on the way are added to the list and so stand on the page."""

    def write(name: str, text: str) -> None:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        files.append(path)

    for suffix in (suffix for suffix in _TABLES if suffix in formats):
        for table in found.retrained:
            write(f"tables/{table.setting.slug}.{suffix}", _TABLES[suffix](table))
            if ratios.groups(table):
                write(f"tables/{table.setting.slug}-ratios.{suffix}", _RATIOS[suffix](table))
            if text := _FRONTS[suffix](table):
                write(f"tables/{table.setting.slug}-fronts.{suffix}", text)
        for looked_up in found.lookups:
            write(f"tables/{looked_up.setting.slug}.{suffix}", _LOOKUPS[suffix](looked_up))
        for inherited in found.inherited:
            write(f"tables/{inherited.setting.slug}.{suffix}", _INHERITED[suffix](inherited))
        for controlled in found.controlled:
            write(f"tables/{controlled.setting.slug}.{suffix}", _CONTROLLED[suffix](controlled))
    if "csv" in formats and found.retrained:
        write("runs.csv", runs_csv(found.retrained))
    if not set(formats) <= set(_TABLES):
        page = _draw(found, problems, records, out, formats, files)
        if "html" in formats:
            write("index.html", page)


def _draw(
    found: Found,
    problems: list[str],
    records: Sequence[Record],
    out: Path,
    formats: Sequence[str],
    files: list[Path],
) -> str:
    """Figures as files, and the page that shows them."""
    from reports.controlled.section import make_comparison_section
    from reports.figures import make_section  # matplotlib takes a second to import: only where something is drawn
    from reports.inherited.section import make_inherited_section
    from reports.lookups.section import make_lookup_section
    from reports.output import Output
    from reports.page import render
    from reports.style import Palette

    names = [entry.row.name for table in found.retrained for entry in table.entries]
    names += [entry.row.label for looked_up in found.lookups for entry in looked_up.entries]
    names += [row.label for inherited in found.inherited for row in inherited.rows]
    names += list(dict.fromkeys(line.question.label for table in found.controlled for line in table.lines))
    palette = Palette(names)  # a method keeps its colour
    images = [suffix for suffix in formats if suffix in ("png", "svg", "pdf")]
    output = Output(out, images, "html" in formats, files, problems)
    looked_up = [make_lookup_section(each, palette, output) for each in found.lookups]
    sections = [make_section(table, palette, output) for table in found.retrained]
    inherited = [make_inherited_section(each, palette, output) for each in found.inherited]
    controlled = [make_comparison_section(each, palette, output) for each in found.controlled]
    output.finish()
    if "html" not in formats:
        return ""
    experiments = sorted({f"{record.info.experiment} ({record.info.profile})" for record in records})
    finished = sum(record.result is not None for record in records)
    made = f"{found.number} table{'s' * (found.number != 1)}; {time.strftime('%Y-%m-%d %H:%M')}"
    return render(
        "dasbench: " + ", ".join(experiments),
        f"{len(records)} runs, {finished} finished; {made}",
        sections,
        problems,
        [section.content(f"lookup-{index}") for index, section in enumerate(looked_up)],
        [section.content(f"inherited-{index}") for index, section in enumerate(inherited)],
        [section.content(f"comparisons-{index}") for index, section in enumerate(controlled)],
    )
