"""Some of the codes of a space, as a space of their own: one decision, which of the list.

Two of the list are at distance one if they are neighbours in the whole space. One that has no neighbour in the list has
those at distance one that are nearest to it, so that a walk never ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.decisions import Code, Decision, DecisionSpace, check_code, distance, neighbours, sample

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ListedDecision(Decision):
    """Which of the list; the options are codes of `base`."""

    options: Sequence[Code]
    base: DecisionSpace = field(kw_only=True)

    @cached_property
    def number(self) -> Mapping[Code, int]:
        return {code: number for number, code in enumerate(self.options)}

    def near(self, option: int) -> Sequence[int]:
        found = sorted(self.number[code] for code in neighbours(self.base, self.options[option]) if code in self.number)
        return found or self._nearest(option)

    def _nearest(self, option: int) -> list[int]:
        away = [distance(self.base, self.options[option], code) for code in self.options]
        least = min((steps for steps in away if steps), default=0)
        return [other for other, steps in enumerate(away) if steps == least and other != option]

    def distance(self, one: int, other: int) -> int:
        return distance(self.base, self.options[one], self.options[other])


@dataclass(frozen=True)
class ListedSpace:
    """Attributes:
    base: the whole space, of which its architectures are.
    codes: of `base`, each once, in ascending order.
    """

    base: DecisionSpace
    codes: tuple[Code, ...]

    @classmethod
    def of(cls, base: DecisionSpace, codes: Iterable[Code]) -> ListedSpace:
        """Raises ArchitectureError for an empty list, or what is no code of `base`."""
        found = tuple(sorted(set(codes)))
        if not found:
            raise ArchitectureError(f"a list of architectures of {base.name} needs at least one")
        for code in found:
            check_code(base, code)
        return cls(base, found)

    @property
    def name(self) -> str:
        return self.base.name

    @cached_property
    def _decisions(self) -> tuple[ListedDecision]:
        return (ListedDecision("network", self.codes, base=self.base),)

    def decisions(self) -> tuple[Decision, ...]:
        return self._decisions

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for an architecture that is not in the list."""
        found = self._decisions[0].number.get(self.base.encode(architecture))
        if found is None:
            raise ArchitectureError(f"architecture {architecture.digest} is none of the {len(self.codes)} in the list")
        return (found,)

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return self.base.decode(self.codes[code[0]])

    def sample(self, generator: torch.Generator) -> Architecture:
        return sample(self, generator)

    @classmethod
    def from_json(cls, base: DecisionSpace, stored: Mapping[str, Any]) -> ListedSpace:
        """Of `to_json`'s answer. Raises ArchitectureError for a list of another space, or as `of`."""
        if stored.get("space") != base.name:
            raise ArchitectureError(f"the list is of {stored.get('space')}, not of {base.name}")
        return cls.of(base, [tuple(code) for code in stored["codes"]])

    def to_json(self) -> dict[str, Any]:
        """The list as JSON values."""
        return {"space": self.base.name, "codes": [list(code) for code in self.codes]}
