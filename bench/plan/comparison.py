"""What a row says of a controlled comparison: a question, and the settings in which it is asked.

You, Ying and Leskovec, NeurIPS 2020 (arXiv 2011.08843), section 5: to find out which option of a dimension is good,
draw settings of all other dimensions, in each let that one dimension alone take all its options, keep the networks of
one setting at one size, and rank the options within the setting.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.config import ConfigError
from bench.data.graphs.settings import GraphSize
from methods.domain import check, shown, within

ROW = "row"
"""The dimension of which row of the experiment."""
MOST_DRAWS = 1000
"""Draws in a row that can be none before a row is given up."""


@dataclass(frozen=True)
class Comparison:
    """A controlled comparison.

    Attributes:
        dimension: what the question is about. On graphs a dimension of the space; on images `recipe.FIELD`,
            `network.FIELD`, `options.FIELD` (of the rows' methods), or `row`.
        values: its options; on graphs all that the space has, by default.
        rows: on images, the rows of this experiment of which a setting draws one (all of `values` where the dimension
            is `row`).
        vary: on images, what else a setting draws: options by dimension.
        space: on graphs, whose designs.
        anchors: on graphs, instead of a dimension: so many designs, drawn once, on every task: how alike tasks are.
        settings: how many are drawn; by default as many as the profile says.
        match_params: on images, give all networks of a setting equally many parameters, by their width. Needed where
            the dimension changes the size.
    """

    dimension: str = ""
    values: tuple[Any, ...] = ()
    rows: tuple[str, ...] = ()
    vary: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    space: str = ""
    anchors: int | None = field(default=None, metadata=within("[3, 1000]"))
    settings: int | None = field(default=None, metadata=within("[1, 10000]"))
    match_params: bool = False

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if bool(self.dimension) == (self.anchors is not None):
            raise ConfigError("name either a dimension, or anchors, which say how alike tasks are")
        if len(set(map(repr, self.values))) < len(self.values) or len(self.values) == 1:
            raise ConfigError(f"values is {shown(list(self.values))}; options are at least two, each once")
        if self.dimension in self.vary:
            raise ConfigError(f"vary.{self.dimension} is what the question is about; its options are in 'values'")


@dataclass(frozen=True)
class ComparisonSize:
    """How much a profile spends on controlled comparisons.

    Attributes:
        settings: drawn for each question.
        tolerance: how much larger than the smallest network of a setting its largest may be, as a share.
        base_width: on graphs, of the reference design, whose size is the budget.
        epochs_divided_by: on graphs, a design's epochs are divided by this.
        graphs: how many synthetic ones there are.
    """

    settings: int = field(default=96, metadata=within("[1, 10000]"))
    tolerance: float = field(default=0.02, metadata=within("(0, 1]"))
    base_width: int = field(default=256, metadata=within("[1, 4096]"))
    epochs_divided_by: int = field(default=1, metadata=within("[1, 400]"))
    graphs: GraphSize = field(default_factory=GraphSize)


@dataclass(frozen=True)
class Setting:
    """One draw of everything but the dimension that is asked about; `number` from 0."""

    number: int
    chosen: Mapping[str, Any]


def draw_settings(dimensions: Mapping[str, Sequence[Any]], seed: int) -> Iterator[Setting]:
    """Settings drawn uniformly, each once; there is no end where there are many.

    Raises:
        ConfigError: all that there are have been drawn.
    """
    source, seen = random.Random(seed), set[str]()
    missed = number = 0
    while True:
        chosen = {name: source.choice(list(options)) for name, options in dimensions.items()}
        if repr(chosen) in seen:
            missed += 1
            if missed > MOST_DRAWS:
                raise ConfigError(f"there are only {len(seen)} different settings; ask for fewer, or vary more")
            continue
        seen.add(repr(chosen))
        missed = 0
        yield Setting(number, chosen)
        number += 1
