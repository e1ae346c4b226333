"""Tables of controlled comparisons: a line for each option of each question, best mean rank first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from methods.tasks import Metric
from reports import listing
from reports.controlled.questions import Anchors, ComparisonSetting, Question
from reports.listing import Cell, Column, Listing
from reports.ranks import Ranked, rank_options, similarities, tie_of


@dataclass(frozen=True)
class Line:
    """An option: ranked as released, where what is nearly equal ties, and without ties."""

    question: Question
    option: str
    tied: Ranked
    exact: Ranked


@dataclass
class ComparisonTable:
    """The questions of one experiment at one profile; `notes` are on the table.

    Attributes:
        alike: of the anchors, tasks in their order and Kendall's tau of every two.
    """

    setting: ComparisonSetting
    lines: list[Line]
    anchors: list[Anchors]
    notes: list[str] = field(default_factory=list)

    @property
    def alike(self) -> list[tuple[Anchors, list[str], list[list[float | None]]]]:
        return [(each, list(each.scores), similarities(each.scores)) for each in self.anchors if len(each.scores) > 1]


def comparison_tables(questions: Iterable[Question], anchors: Iterable[Anchors]) -> list[ComparisonTable]:
    """Those that have a finished setting, or anchors on two tasks."""
    found: dict[ComparisonSetting, tuple[list[Question], list[Anchors]]] = {}
    for question in questions:
        found.setdefault(question.setting, ([], []))[0].append(question)
    for each in anchors:
        found.setdefault(each.setting, ([], []))[1].append(each)
    tables = [_table(setting, *both) for setting, both in sorted(found.items())]
    return [table for table in tables if table.lines or table.alike]


def _table(setting: ComparisonSetting, questions: Sequence[Question], anchors: list[Anchors]) -> ComparisonTable:
    lines: list[Line] = []
    for question in questions:
        if question.settings:
            tied, exact = rank_options(question.settings, tie_of(setting.metric)), rank_options(question.settings)
            lines += [Line(question, option, ranked, exact[option]) for option, ranked in tied.items()]
    return ComparisonTable(setting, lines, anchors, _notes(setting.metric, questions, anchors))


def _notes(metric: Metric, questions: Sequence[Question], anchors: Sequence[Anchors]) -> list[str]:
    tie = tie_of(metric)
    better = (
        f"by more than {tie:g} {metric.step} of {metric.name} (as GraphGym's released analysis has it), or better at "
        "all (without ties)"
    )
    notes = [
        "ranks: within a setting, 1 is best; an option's rank is one more than the number of options that are better "
        f"{better if tie else f'by their {metric.name}'}; averaged over settings, with Student's 95 % interval, a "
        "setting is a unit",
        "options of a question that share a letter cannot be separated by paired t tests of their ranks (Holm, 5 %)",
    ]
    for question in questions:
        said = []
        if question.apart:
            said.append(f"networks of a setting differ in size by at most {max(question.apart):.2%}")
        if question.redrawn:
            said.append(f"draws whose networks have no common size, drawn again: {question.redrawn}")
        if question.unfinished:
            said.append(f"settings that are not finished, left out: {question.unfinished}")
        tasks = ", ".join(f"{name} {count}" for name, count in sorted(question.tasks.items()))
        said.append(f"settings by task: {tasks}" if tasks else "no setting is finished")
        notes.append(f"{question.label}: {'; '.join(said)}")
    for each in anchors:
        numbers = sorted({len(scores) for scores in each.scores.values()})
        if numbers:
            notes.append(
                f"{each.label}: {numbers[0]} designs, drawn once, on {len(each.scores)} tasks; how alike two tasks are "
                "is Kendall's tau b of the designs' accuracies"
            )
    return notes


ComparisonColumn = Column[Line]


def _a(name: str) -> str:
    """With its article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _interval(ranked: Ranked, options: int) -> str:
    return "" if ranked.interval is None else "{:.2f} to {:.2f}".format(*ranked.interval.within(1.0, float(options)))


def comparison_columns(table: ComparisonTable) -> list[ComparisonColumn]:
    metric = table.setting.metric
    tie = tie_of(metric)
    tied = f"; options within {tie:g} {metric.step} of {metric.name} of each other tie" if tie else ""
    return [
        Column("question", "question", "row of the experiment", lambda e: e.question.label,
               lambda e: e.question.label, left=True),
        Column("method", "option", "of the dimension that changes", lambda e: e.option, lambda e: e.option, left=True),
        Column("mean_rank", "mean rank", f"1 is best{tied}",
               lambda e: f"{e.tied.mean:.2f}", lambda e: e.tied.mean),
        Column("interval", "95 % interval", "Student's, of the mean rank over settings",
               lambda e: _interval(e.tied, len(e.question.options)),
               lambda e: _interval(e.tied, len(e.question.options)), left=True),
        Column("letters", "", "options that share a letter are not separated", lambda e: e.tied.letters,
               lambda e: e.tied.letters, left=True),
        Column("first", "first %", "share of the settings in which nothing is better by more than the tie",
               lambda e: f"{100 * e.tied.first:.0f}", lambda e: 100 * e.tied.first),
        Column("exact_rank", "without ties", "mean rank without ties", lambda e: f"{e.exact.mean:.2f}",
               lambda e: e.exact.mean),
        Column("exact_interval", "its 95 % interval", "Student's, of the mean rank without ties",
               lambda e: _interval(e.exact, len(e.question.options)),
               lambda e: _interval(e.exact, len(e.question.options)), left=True, detail=True),
        Column(metric.key, metric.named, "mean over settings of the mean over seeds",
               lambda e: metric.written(metric.score(e.tied.value)), lambda e: metric.score(e.tied.value)),
        Column("settings", "settings", "complete ones", lambda e: str(e.tied.settings), lambda e: e.tied.settings),
        Column("seeds", "seeds", f"trainings behind {_a(metric.name)}", lambda e: str(e.question.seeds),
               lambda e: e.question.seeds, detail=True),
        Column("apart", "sizes apart %", "largest difference in parameters within a setting",
               lambda e: f"{100 * max(e.question.apart):.2f}" if e.question.apart else "",
               lambda e: 100 * max(e.question.apart) if e.question.apart else None, detail=True),
    ]  # fmt: skip


def as_listing(table: ComparisonTable) -> Listing:
    columns = comparison_columns(table)
    setting: dict[str, Cell] = {"experiment": table.setting.experiment, "profile": table.setting.profile}
    texts = [[column.text(line) for column in columns] for line in table.lines]
    values = [[column.raw(line) for column in columns] for line in table.lines]
    return Listing(table.setting.title, columns, texts, values, table.notes, setting)


def to_text(table: ComparisonTable) -> str:
    return listing.to_text(as_listing(table))


def to_csv(table: ComparisonTable) -> str:
    return listing.to_csv(as_listing(table))


def to_markdown(table: ComparisonTable) -> str:
    return listing.to_markdown(as_listing(table))


def to_latex(table: ComparisonTable) -> str:
    return listing.to_latex(as_listing(table))
