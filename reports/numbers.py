"""Numbers that no run has measured itself: latencies of found networks, and what a user's own file says (energy, ...).

Beside an experiment's records: `latency*.jsonl`, which `dasbench measure-latency --experiment` writes, and
`numbers.csv`, a table with a column `row` (the label of a row) or `architecture` (a digest, as records and `dasbench
show` give it), and any other columns of numbers, a heading each: "energy (mJ)". Every other column becomes one of the
report's, with accuracy against it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.latency.conditions import Conditions, LatencyError, differences
from bench.latency.dataset import DATA_NAME, GIVEN, SUFFIX, LatencyData, read_data
from bench.names import one_line
from methods.domain import shown
from reports.rows import Row, file_form, mean_of_means, number, search_seed

FILE_NAME = "numbers.csv"
LATENCIES = f"latency*{SUFFIX}"
COLLECTED = "collect"
"""How directories of runs that measure begin."""
KEYS = ("row", "architecture")


@dataclass(frozen=True)
class Number:
    """One column.

    Attributes:
        name: of the column in CSV, and of its figure's files.
        title: what it is, with its unit, on an axis.
        heading: the same in two lines.
        help: for the legend.
        unit: of a measured latency, with how it was measured; empty of anything else.
        by_digest, by_row: values of architectures, and of rows by their labels.
    """

    name: str
    title: str
    heading: tuple[str, str]
    help: str
    unit: str = ""
    by_digest: Mapping[str, float] = field(default_factory=dict, hash=False)
    by_row: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def latency(self) -> bool:
        """Whether it is a measured one."""
        return bool(self.unit)

    def of(self, row: Row) -> float | None:
        """Of its label, or the mean over its searches; None unless all its architectures have a value."""
        if row.label in self.by_row:
            return self.by_row[row.label]
        nested: dict[int, dict[int, float]] = {}
        for index, record in enumerate(row.trains or row.counted):
            value = self.by_digest.get(str((record.result or {}).get("architecture")))
            if value is None:
                return None
            nested.setdefault(search_seed(record), {})[index] = value
        return mean_of_means(nested)


def read_numbers(folders: Sequence[Path]) -> tuple[list[Number], list[str]]:
    """What lies beside the records of some experiments, and one message for each file that cannot be read."""
    found: list[Number] = []
    problems: list[str] = []
    for folder in folders:
        for path in sorted(folder.glob(LATENCIES)):
            try:
                found.append(_latency(path))
            except LatencyError as error:
                problems.append(str(error))
        if (folder / FILE_NAME).is_file():
            numbers, wrong = _own(folder / FILE_NAME)
            found += numbers
            problems += wrong
    return list(_merged(found)), problems


def _latency(path: Path) -> Number:
    data = read_data(path)
    level = _level(data, path.parent)
    values = {each.digest: data.ms(each, level) for each in data.measured if each.job.role == GIVEN}
    conditions = data.conditions
    name = f"latency-{conditions.backend}-b{conditions.batch}-t{conditions.threads}-{conditions.device}"
    told = f"measured latency, {conditions.unit}: of the networks a row found, as trained, without their weights"
    heading = ("measured", f"ms {conditions.backend}")
    return Number(file_form(name), f"measured latency, {conditions.unit}", heading, told, conditions.unit, values)


def _level(data: LatencyData, folder: Path) -> float:
    """What the reference takes undisturbed, from the run that measured for the experiment's predictors, if one did.

    The few measurements of what was found say less of it than hundreds do; and so measured and predicted latencies are
    on one scale, whatever else the machine did at either time.
    """
    for path in sorted(folder.glob(f"{COLLECTED}-*/{DATA_NAME}")):
        try:
            other = read_data(path)
        except LatencyError:
            continue  # that run's own matter
        if other.measured and not differences(_comparable(data), _comparable(other)):
            return other.reference_ms
    return data.reference_ms


def _comparable(data: LatencyData) -> Conditions:
    """Its conditions, whatever networks were drawn, and however often each was timed."""
    conditions = data.conditions
    return replace(conditions, seed=0, protocol=replace(conditions.protocol, rounds=1, calls=1, warm_up=0))


def _own(path: Path) -> tuple[list[Number], list[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [f"{path} cannot be read: {error}"]
    headings = [each for each in (lines[0] if lines else {}) if each]
    key = next((each for each in KEYS if each in headings), None)
    if key is None:
        return [], [f"{path} has no column 'row' or 'architecture' that says whose its numbers are"]
    problems: list[str] = []
    found = []
    for heading in headings:
        if heading not in KEYS:
            values = dict(_values(lines, key, heading, path, problems))
            if values:
                found.append(_number(heading, key, values))
    return found, problems


def _values(
    lines: Sequence[Mapping[str, str | None]], key: str, heading: str, path: Path, problems: list[str]
) -> Iterator[tuple[str, float]]:
    for place, line in enumerate(lines, start=2):
        text, of = (line.get(heading) or "").strip(), (line.get(key) or "").strip()
        if not text or not of:
            continue
        try:
            value = number(float(text))
        except ValueError:
            value = None
        if value is None:
            problems.append(f"{path}: line {place}, '{one_line(heading)}': {shown(text)} is no number; left out")
        else:
            yield of, value


def _number(heading: str, key: str, values: Mapping[str, float]) -> Number:
    title = one_line(heading)
    words, _, unit = title.partition("(")
    name = file_form(title.lower()).strip("_")
    told = f"{title}: from {FILE_NAME} beside the records"
    parts = (words.strip(), unit.rstrip(") ")) if unit else ("", title)
    return Number(name, title, parts, told, "", **{"by_row" if key == "row" else "by_digest": values})


def _merged(numbers: Sequence[Number]) -> Iterator[Number]:
    """Those of one name, from several experiments, as one; the later file counts where two say something."""
    for name in dict.fromkeys(each.name for each in numbers):
        same = [each for each in numbers if each.name == name]
        by_digest = {k: v for each in same for k, v in each.by_digest.items()}
        by_row = {k: v for each in same for k, v in each.by_row.items()}
        first = same[0]
        yield Number(name, first.title, first.heading, first.help, first.unit, by_digest, by_row)
