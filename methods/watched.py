"""What is worth watching in a search: declared by the method, drawn by reports, which know no method.

A gradient search gives values by name at the end of every epoch (`GradientSearch.on_epoch_end`), and they stand in its
records under these names. A module that imports no torch says which of them make a figure, and what they mean:

    WATCHED = (*USUAL, Watched(
        "temperature", "Temperature", {"gdas/tau": ""}, "temperature", "Temperature of the Gumbel softmax"
    ))

and the method's registration names it, so that a report reads it without the method:

    @register("gdas", ..., watched="methods.gradient.gdas_watched:WATCHED")
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from methods.domain import MethodError

Shape = Literal["lines", "shares", "by cell"]
USUAL = "methods.parts.watched:USUAL"
"""Where that is which every search over operations has."""


@dataclass(frozen=True)
class Flag:
    """A mark for searches that ended badly: where the mean of some values at the end is `least` or more.

    Attributes:
        word: of the mark.
        when: when it is set, as the subject of a sentence: "a search that ends with 4 or more".
        values: their names; those that an epoch has count.
        of: the name of a value that `least` is a share of; "" where it is a number by itself.
    """

    word: str
    when: str
    values: tuple[str, ...]
    least: float
    of: str = ""

    def limit(self, last: Mapping[str, float]) -> float | None:
        """By the values of the last epoch; None where they lack what it is a share of."""
        return self.least * last[self.of] if self.of in last else None if self.of else self.least

    def raised(self, last: Mapping[str, float]) -> bool:
        """By the values of the last epoch."""
        found, limit = [last[name] for name in self.values if name in last], self.limit(last)
        return bool(found) and limit is not None and sum(found) / len(found) >= limit


@dataclass(frozen=True)
class Watched:
    """One figure, with a panel for every row that has its values; methods that mean the same figure declare the same.

    Attributes:
        name: of the figure's files.
        title: its heading on the page.
        values: by the name that a value has in an epoch, what tells it from the others of the figure ("" if alone).
            Of `shares`, one beginning that all names have; what follows is what tells them apart.
        axis: what the vertical axis is, with its unit.
        meaning: a sentence without its full stop.
        shape: "lines" are numbers by epoch, a line a search; "shares" numbers that add up, their means over the
            searches on top of each other; "by cell" lists of a number for each cell (or what `each` says), a line each,
            means likewise.
        flag: what a search is marked with that ended badly.
        each: what a line of "by cell" is.
    """

    name: str
    title: str
    values: Mapping[str, str]
    axis: str
    meaning: str
    shape: Shape = "lines"
    flag: Flag | None = None
    each: str = "cell"

    def __post_init__(self) -> None:
        most = {"lines": 4, "shares": 1}.get(self.shape, len(self.values))
        if not 1 <= len(self.values) <= most:
            raise ValueError(
                f"the figure '{self.name}' of {self.shape} takes 1 to {most} values, not {len(self.values)}"
            )

    def of(self, names: Mapping[str, object]) -> dict[str, str]:
        """Those of `names` that the figure shows, in its order, with what tells them apart."""
        if self.shape == "shares":
            (beginning,) = self.values
            return {name: name.removeprefix(beginning) for name in names if name.startswith(beginning)}
        return {name: told for name, told in self.values.items() if name in names}


def figures(where: str) -> tuple[Watched, ...]:
    """What a `module:NAME` declares; "" stands for what every search over operations has.

    Raises:
        MethodError: there is no such tuple.
    """
    module, _, name = (where or USUAL).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # another's module may fail in any way
        raise MethodError(f"watched='{where}' cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(found, tuple) or not all(isinstance(each, Watched) for each in found):
        raise MethodError(f"watched='{where}' is not a tuple of figures (`methods.watched.Watched`)")
    return found
