"""A space as decisions: what follows from them for every space, once.

A space names its decisions in one order (`decisions`); an architecture is then one tuple of option indices, its *code*
(`encode`, `decode`). Size, uniform sampling, enumeration, neighbours, mutation and crossover need nothing else of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from methods.architecture import Architecture, ArchitectureError

if TYPE_CHECKING:  # who reads a genotype needs no torch
    import torch

Code = tuple[int, ...]
"""One option index for every decision of a space, in their order."""


class NoDecisionsError(ArchitectureError):
    """A space that is no product of finitely many decisions."""


@dataclass(frozen=True)
class Decision:
    """One choice among options.

    Attributes:
        name: unlike that of any other decision of the space.
        options: what can be chosen; at least one.
        ordered: the options are a scale (widths, depths): at distance one are the next smaller and the next larger.
            Otherwise every option is at distance one from every other.
        neutral: the option that stands for a decision still to be taken, where a network grows decision by decision:
            a skip, no block, the least.
    """

    name: str
    options: Sequence[Any]
    ordered: bool = False
    neutral: int = 0

    def near(self, option: int) -> Sequence[int]:
        """The options at distance one from an option, ascending."""
        if self.ordered:
            return [other for other in (option - 1, option + 1) if 0 <= other < len(self.options)]
        return [other for other in range(len(self.options)) if other != option]

    def distance(self, one: int, other: int) -> int:
        """How many steps, each to an option at distance one, lead from an option to another."""
        return abs(one - other) if self.ordered else int(one != other)

    def draw_near(self, option: int, generator: torch.Generator) -> int:
        """One of the options at distance one, each with the same probability; there must be one."""
        near = self.near(option)
        return near[_below(len(near), generator)]


@dataclass(frozen=True)
class Subsets(Sequence[tuple[Any, ...]]):
    """All subsets of some items, made when asked for; option k has the items at the bits of k + `smallest`."""

    items: tuple[Any, ...]
    smallest: ClassVar[int] = 0

    def __len__(self) -> int:
        return 2 ** len(self.items) - self.smallest

    def __getitem__(self, option: Any) -> Any:
        if not 0 <= option < len(self):
            raise IndexError(option)
        return tuple(item for bit, item in enumerate(self.items) if (option + self.smallest) >> bit & 1)

    def index(self, value: Any, *_: Any) -> int:
        """The option of a subset, whose items may stand in any order."""
        return sum(1 << self.items.index(item) for item in set(value)) - self.smallest


class NonEmptySubsets(Subsets):
    """All but the empty one."""

    smallest = 1


@dataclass(frozen=True)
class SubsetDecision(Decision):
    """Which items; at distance one are the subsets with one item more or one less."""

    options: Subsets

    def near(self, option: int) -> Sequence[int]:
        smallest = self.options.smallest
        flipped = ((option + smallest) ^ (1 << bit) for bit in range(len(self.options.items)))
        return sorted(subset - smallest for subset in flipped if subset >= smallest)

    def distance(self, one: int, other: int) -> int:
        smallest = self.options.smallest
        return ((one + smallest) ^ (other + smallest)).bit_count()


class DecisionSpace(Protocol):
    """What this module needs of a space."""

    @property
    def name(self) -> str: ...

    def decisions(self) -> tuple[Decision, ...]:
        """In the order of a code's entries. Raises NoDecisionsError where the space has none."""

    def encode(self, architecture: Architecture) -> Code:
        """The code of a valid architecture. Raises ArchitectureError for one that no code stands for."""

    def decode(self, code: Code) -> Architecture:
        """The architecture of a code; `encode` gives the code back."""


def has_decisions(space: DecisionSpace) -> bool:
    """Whether a search over decisions can work in the space."""
    try:
        space.decisions()
    except NoDecisionsError:
        return False
    return True


def size(space: DecisionSpace) -> int:
    """Number of codes."""
    return math.prod(len(decision.options) for decision in space.decisions())


def check_code(space: DecisionSpace, code: Code) -> None:
    """Raises ArchitectureError for a tuple that is no code of the space."""
    decisions = space.decisions()
    if len(code) != len(decisions):
        raise ArchitectureError(f"a code of {space.name} has {len(decisions)} entries, not {len(code)}")
    for decision, option in zip(decisions, code, strict=True):
        if not 0 <= option < len(decision.options):
            raise ArchitectureError(
                f"{space.name}, decision '{decision.name}': option {option} is none of its {len(decision.options)}"
            )


def sample_code(space: DecisionSpace, generator: torch.Generator) -> Code:
    """Uniform over all codes."""
    sizes = [len(decision.options) for decision in space.decisions()]
    import torch

    draws = torch.rand(len(sizes), generator=generator, dtype=torch.float64).tolist()
    return tuple(int(draw * size) for draw, size in zip(draws, sizes, strict=True))


def sample(space: DecisionSpace, generator: torch.Generator) -> Architecture:
    """Uniform over all codes, decoded."""
    return space.decode(sample_code(space, generator))


def enumerate_codes(space: DecisionSpace) -> Iterator[Code]:
    """Every code, the last decision changing fastest. There are `size(space)`: ask first."""
    return itertools.product(*(range(len(decision.options)) for decision in space.decisions()))


def neighbours(space: DecisionSpace, code: Code) -> Iterator[Code]:
    """Every code at distance one: one decision differs, and its two options are at distance one."""
    for place, (decision, option) in enumerate(zip(space.decisions(), code, strict=True)):
        for other in decision.near(option):
            yield (*code[:place], other, *code[place + 1 :])


def neutral_code(space: DecisionSpace) -> Code:
    """No decision taken yet."""
    return tuple(decision.neutral for decision in space.decisions())


def distance(space: DecisionSpace, one: Code, other: Code) -> int:
    """How many steps, each to a neighbour, lead from a code to another."""
    return sum(decision.distance(a, b) for decision, a, b in zip(space.decisions(), one, other, strict=True))


def ball(space: DecisionSpace, centre: Code, radius: int) -> set[Code]:
    """All codes at most `radius` steps away, the centre among them."""
    found, edge = {centre}, {centre}
    for _ in range(radius):
        edge = {near for code in edge for near in neighbours(space, code)} - found
        found |= edge
    return found


def mutate(space: DecisionSpace, code: Code, generator: torch.Generator) -> Code:
    """A neighbour: first the decision is drawn, uniformly among those with a choice, then an option near its own.

    Raises:
        ArchitectureError: no decision has a second option.
    """
    decisions = space.decisions()
    places = [place for place, decision in enumerate(decisions) if len(decision.options) > 1]
    if not places:
        raise ArchitectureError(f"nothing can be mutated in {space.name}: no decision has a second option")
    place = places[_below(len(places), generator)]
    return (*code[:place], decisions[place].draw_near(code[place], generator), *code[place + 1 :])


def crossover(space: DecisionSpace, one: Code, other: Code, generator: torch.Generator) -> Code:
    """Uniform crossover: every entry is taken from one of the two codes, each with probability one half."""
    import torch

    heads = torch.randint(2, (len(space.decisions()),), generator=generator).tolist()
    return tuple(b if head else a for a, b, head in zip(one, other, heads, strict=True))


def refuse_decided_elsewhere(space: str, architecture: Architecture, *fields: str) -> None:
    """Raises ArchitectureError if one of these fields (scale, widths, masks) says something: codes do not hold it."""
    for field in fields:
        if getattr(architecture, field):
            raise ArchitectureError(
                f"no code of {space} stands for this architecture: it has {field} of its own, which are no decision"
            )


def _below(end: int, generator: torch.Generator) -> int:
    import torch

    return int(torch.randint(end, (), generator=generator))
