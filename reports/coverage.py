"""How often the 95 % intervals hold what they should, by simulation; `python -m reports.coverage` measures anew.

The result is `coverage.csv`, the table behind every statement about coverage: a report names it for the numbers of
searches it shows, and says so where these were not simulated.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from reports.statistics import half_width, welch

FILE = Path(__file__).with_name("coverage.csv")
EXPERIMENTS = 100_000
"""For each case: a standard error of 0.07 points."""

WITHIN = 0.12
"""Standard deviation between retrainings, in points."""

BETWEEN = (0.0, 0.05, 0.20, 0.60)
"""Standard deviations between searches."""

RATIOS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
"""Spread of one row over that of the other, for differences."""

SHAPES = {"normal": None, "skewed": 8.0}
"""Distribution of the searches; a number is a gamma distribution of that shape. 8 has skewness .71; the last-epoch
errors of 214 randomly drawn cells (antoyang/NAS-Benchmark, 214_random_architectures.npy) have .68."""

SEARCHES = (*range(2, 17), 20, 24, 32)
SIDES = (2, 3, 4, 5, 6, 8, 12, 16)


@dataclass(frozen=True)
class Case:
    """Lowest and highest coverage in percent over distributions and spreads.

    Attributes:
        of: "mean, balanced" or "mean, unbalanced" (numbers of retrainings), or "difference".
        searches, others: units of the row; for a difference those of the other row, not fewer.
    """

    of: str
    searches: int
    others: int
    lowest: float
    highest: float


def designs(searches: int) -> dict[str, list[tuple[int, ...]]]:
    """Numbers of retrainings by search: equal, and as unequal as half-finished experiments are."""
    one = (1,) * (searches - 1)
    half = searches // 2
    return {
        "mean, balanced": [(retrainings,) * searches for retrainings in (1, 2, 3)],
        "mean, unbalanced": [*((more, *one) for more in (2, 3, 6, 10)), (10,) * half + (1,) * (searches - half)],
    }


def of_mean(
    design: Sequence[int], between: float, shape: float | None, generator: np.random.Generator, experiments: int
) -> float:
    """Coverage of the interval of a mean, in percent; `design` holds the retrainings of each search."""
    searches = _drawn(shape, between, (experiments, len(design)), generator)
    means = searches + generator.standard_normal(searches.shape) * WITHIN / np.sqrt(design)
    return 100 * float(np.mean(np.abs(means.mean(-1)) <= half_width(means)))


def of_difference(
    searches: int, others: int, ratio: float, shape: float | None, generator: np.random.Generator, experiments: int
) -> float:
    """Coverage of Welch's interval, in percent; `ratio` is the spread of the larger row over that of the smaller."""
    a = _drawn(shape, 1.0, (experiments, searches), generator)
    b = _drawn(shape, ratio, (experiments, others), generator)
    return 100 * float(np.mean(np.abs(a.mean(-1) - b.mean(-1)) <= welch(a, b)[0]))


def simulate(experiments: int = EXPERIMENTS) -> Iterator[Case]:
    """All cases, in the order of the file."""
    generator = np.random.default_rng(0)
    for searches in SEARCHES:
        for of, chosen in designs(searches).items():
            found = [
                of_mean(design, between, shape, generator, experiments)
                for design in chosen
                for between in BETWEEN
                for shape in SHAPES.values()
            ]
            yield Case(of, searches, searches, round(min(found), 1), round(max(found), 1))
    for searches, others in combinations_with_replacement(SIDES, 2):
        found = [
            of_difference(searches, others, ratio, shape, generator, experiments)
            for ratio in RATIOS
            for shape in SHAPES.values()
        ]
        yield Case("difference", searches, others, round(min(found), 1), round(max(found), 1))


@cache
def measured() -> tuple[Case, ...]:
    """The cases of the file."""
    with open(FILE, newline="") as file:
        return tuple(
            Case(
                line["of"],
                *(int(line[key]) for key in ("searches", "others")),
                *map(float, (line["lowest"], line["highest"])),
            )
            for line in csv.DictReader(file)
        )


def lowest(searches: int) -> float | None:
    """The lowest coverage measured for a mean over so many searches; None where it was not simulated."""
    found = [case.lowest for case in measured() if case.of.startswith("mean") and case.searches == searches]
    return min(found, default=None)


def differences() -> tuple[float, int, int]:
    """The lowest coverage of the interval of a difference, and the fewest and most units it was simulated with."""
    cases = [case for case in measured() if case.of == "difference"]
    sides = [side for case in cases for side in (case.searches, case.others)]
    return min(case.lowest for case in cases), min(sides), max(sides)


def _drawn(shape: float | None, deviation: float, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Values of mean 0 and the given standard deviation."""
    if shape is None:
        return deviation * generator.standard_normal(size)
    return deviation * (generator.standard_gamma(shape, size) - shape) / math.sqrt(shape)


if __name__ == "__main__":
    with open(FILE, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Case)])
        for case in simulate():
            writer.writerow(astuple(case))
