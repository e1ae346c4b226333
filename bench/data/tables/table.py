"""A table of trained networks: for every architecture of a space, measured accuracies, each with its budget.

Validation values are for searches. Test values are sealed while a search runs (`bench.data.seal`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from bench.data.seal import refuse_while_sealed
from methods.domain import shown

if TYPE_CHECKING:
    from methods.architecture import Architecture

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Index = int | npt.NDArray[np.int64]
Split = Literal["validation", "test"]


class TableError(ValueError):
    """A table that cannot be used, or a question that it has no answer to; the message says what there is."""


@dataclass(frozen=True)
class Measure:
    """What one column of accuracies is. All are in percent, of the network after its last epoch unless `note` differs.

    Attributes:
        split: "validation" is what a search may choose by; "test" is for the final look-up.
        epochs: of the training from scratch that each network got; the budget of the value.
        version: whose values, where a table has several of one budget.
        trained_on, scored_on: images.
        note: what else a reader of the value must know.
    """

    dataset: str
    split: Split
    epochs: int
    version: str
    trained_on: str
    scored_on: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.split} on {self.dataset} at {self.epochs} epochs (version '{self.version}')"


@dataclass(frozen=True, eq=False)
class Table:
    """Every architecture of a space by its index in the table, and what was measured of it.

    Attributes:
        name: as in `get_table(name)`.
        space: the search space (`methods.spaces`) whose architectures it holds.
        source: where the values come from, and the paper.
        digest: SHA-256 of the file that was read.
        architectures: the text of each architecture, by index.
        genotype_key: under which an `Architecture` of the space has that text.
        scale: what the trained networks' size was, as an `Architecture`'s scale would say it.
        measures: all there is; where several differ in their version only, the first is meant when none is named.
        selection_note: "" or what a report must say beside every row that was chosen by this table's validation values.
    """

    name: str
    space: str
    source: str
    digest: str
    architectures: tuple[str, ...]
    genotype_key: str
    scale: Mapping[str, int]
    measures: tuple[Measure, ...]
    selection_note: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """How each operation is told in the text of an architecture."""
    explain: Callable[[str], str] = field(default=lambda text: "", repr=False)
    """What is wrong with the text of an architecture that the table does not hold."""
    _accuracies: Mapping[Measure, Values] = field(default_factory=dict, repr=False)
    _params: Mapping[str, Counts] = field(default_factory=dict, repr=False)
    _flops: Mapping[str, Counts] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.architectures)

    @property
    def datasets(self) -> tuple[str, ...]:
        """On which the networks were trained."""
        return tuple(dict.fromkeys(measure.dataset for measure in self.measures))

    def measure(self, dataset: str, split: Split, epochs: int, version: str = "") -> Measure:
        """The one column that is meant.

        Raises:
            TableError: there is none; the message names what there is.
        """
        found = self._by_budget.get((dataset, split, epochs, version))
        return found if found is not None else self._refuse(dataset, split, epochs, version)

    @cached_property
    def _by_budget(self) -> Mapping[tuple[str, Split, int, str], Measure]:
        exact = {(each.dataset, each.split, each.epochs, each.version): each for each in self.measures}
        first = {(each.dataset, each.split, each.epochs, ""): each for each in reversed(self.measures)}
        return {**exact, **first}

    def _refuse(self, dataset: str, split: Split, epochs: int, version: str) -> NoReturn:
        if dataset not in self.datasets:
            close = difflib.get_close_matches(str(dataset), self.datasets, n=1, cutoff=0.4)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise TableError(
                f"table '{self.name}' has nothing on data set {shown(dataset)}{hint} It has: {', '.join(self.datasets)}"
            )
        there = "; ".join(str(measure) for measure in self.measures if measure.dataset == dataset)
        wanted = f"{split} values on {dataset} at {shown(epochs)} epochs" + (
            f", version '{version}'" if version else ""
        )
        raise TableError(f"table '{self.name}' has no {wanted}. It has: {there}")

    def validation(self, dataset: str, epochs: int, version: str = "") -> Values:
        """What a search may choose by: accuracies in percent, (len(self),), read-only.

        Raises:
            TableError: there are none of this budget.
        """
        return self._accuracies[self.measure(dataset, "validation", epochs, version)]

    def final(self, dataset: str, epochs: int, version: str = "") -> Values:
        """Test accuracies in percent, (len(self),), read-only.

        Raises:
            SealedTestSetError: a search runs in this process.
            TableError: there are none of this budget.
        """
        measure = self.measure(dataset, "test", epochs, version)
        refuse_while_sealed(f"table '{self.name}': {measure}")
        return self._accuracies[measure]

    def params(self, dataset: str) -> Counts:
        """Parameters of each network, classifier included, (len(self),)."""
        return self._counted(self._params, dataset)

    def flops(self, dataset: str) -> Counts:
        """As the benchmark counts them for one image, (len(self),); its documentation page says how."""
        return self._counted(self._flops, dataset)

    def _counted(self, counts: Mapping[str, Counts], dataset: str) -> Counts:
        if dataset not in counts:
            raise TableError(f"table '{self.name}' has no counts for {shown(dataset)}. It has: {', '.join(counts)}")
        return counts[dataset]

    def occurrences(self, operation: str) -> Counts:
        """How often each architecture has an operation, (len(self),), e.g. "skip_connect".

        Raises:
            TableError: the space has no such operation; the message names all.
        """
        if operation not in self.tokens:
            raise TableError(
                f"the architectures of table '{self.name}' have no operation {shown(operation)}. "
                f"They have: {', '.join(self.tokens)}"
            )
        return np.array([text.count(self.tokens[operation]) for text in self.architectures], np.int64)

    def best(self, dataset: str, epochs: int, version: str = "") -> int:
        """Index of the highest test accuracy, the lowest index among equals. Raises what `final` raises."""
        return int(self.final(dataset, epochs, version).argmax())

    def rank(self, index: Index, dataset: str, epochs: int, version: str = "") -> Index:
        """1 + how many architectures of the table have a higher test accuracy. Raises what `final` raises."""
        return rank(self.final(dataset, epochs, version), index)

    def regret(self, index: Index, dataset: str, epochs: int, version: str = "") -> float | Values:
        """Points of test accuracy below the best of the table. Raises what `final` raises."""
        values = self.final(dataset, epochs, version)
        return values.max() - values[index]

    @cached_property
    def _indices(self) -> Mapping[str, int]:
        return {text: index for index, text in enumerate(self.architectures)}

    def index(self, architecture: Architecture | str) -> int:
        """Where an architecture stands in the table.

        Args:
            architecture: of the table's space, or its text.

        Raises:
            TableError: of another space, not in the table, or another network than the table's: of another size, with
                widths of its own or with masked weights.
        """
        text = architecture if isinstance(architecture, str) else self._text(architecture)
        found = self._indices.get(text)
        if found is None:
            raise TableError(f"table '{self.name}' has no architecture {shown(text)}{self.explain(text)}")
        return found

    def _text(self, architecture: Architecture) -> str:
        if architecture.space != self.space:
            raise TableError(
                f"table '{self.name}' holds architectures of the space '{self.space}', and this one is of "
                f"'{architecture.space}': it cannot be looked up here"
            )
        scale = {key: value for key, value in architecture.scale.items() if self.scale.get(key) != value}
        if scale or architecture.widths or architecture.masks:
            what = f"the scale {scale}" if scale else "widths of its own" if architecture.widths else "masked weights"
            raise TableError(
                f"table '{self.name}' holds networks of the scale {dict(self.scale)}; this one has {what}: the values "
                "are of another network"
            )
        text = architecture.genotype.get(self.genotype_key)
        if not isinstance(text, str):
            raise TableError(
                f"table '{self.name}': the genotype has no text under '{self.genotype_key}': {shown(text)}"
            )
        return text


def rank(values: Values, index: Index) -> Index:
    """1 + how many of `values` are higher than `values[index]`; equal values share the better rank.

    Args:
        index: one position, or positions of any shape.

    Returns:
        int, or int64 of the shape of `index`.
    """
    ordered = np.sort(values)
    found = 1 + len(values) - np.searchsorted(ordered, values[index], side="right")
    return int(found) if np.ndim(found) == 0 else np.asarray(found, np.int64)
