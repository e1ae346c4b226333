"""An architecture as numbers that a predictor reads: how often each option of each decision stands in it.

Where a space has a relaxation these are its choices (`methods.spaces.relaxation`): of an architecture zeros and ones,
of gates what they say of the architecture that is derived from them. In the cells of DARTS they are 2 kinds of 14
edges with 7 operations and "absent", 224 numbers. Elsewhere they are an architecture's code: every option one-hot, and
of a decision among subsets whether each item is in it. Gates have that one where a search relaxes the very decisions
of the space, as widths.

How soft gates are encoded is ours: LA-DARTS (arXiv 2001.06392) says no more than that its regressor reads the relaxed
architecture. "soft" takes the choices' expectation, the rule of two edges into a node relaxed by the edges' strengths
(of GDAS', by those of pairs of edge and operation); "straight_through" takes what is derived now, with the gradient of
"soft".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.domain import MethodError, shown
from methods.parts.choices import Choices
from methods.parts.gates import Gates
from methods.parts.topology import Topology
from methods.spaces import get_space
from methods.spaces.decisions import Decision, SubsetDecision
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernets import RELAXATIONS

Way = Literal["soft", "straight_through"]
WAYS: tuple[Way, ...] = get_args(Way)
"""How gates are encoded."""


class Encoding(Protocol):
    """Attributes:
    space: of the architectures.
    size: numbers of one architecture.
    topology: what they are numbers of, where that is a relaxation's.
    """

    @property
    def space(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def topology(self) -> Topology | None: ...

    def discrete(self, architecture: Architecture) -> Tensor:
        """(size,), float32, on the host. Raises MethodError for an architecture that the decisions do not describe."""

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        """(size,), on the gates' device, with a gradient. Raises MethodError for gates of other decisions."""


@dataclass(frozen=True)
class ChoiceEncoding:
    """The choices of a relaxation, kind after kind, decision after decision."""

    relaxed: Relaxation
    way: Way = "soft"

    @property
    def space(self) -> str:
        return self.relaxed.space

    @property
    def topology(self) -> Topology:
        return self.relaxed.topology

    @property
    def size(self) -> int:
        kinds, decisions, options = self.topology.shape
        return kinds * decisions * options

    def discrete(self, architecture: Architecture) -> Tensor:
        refuse_own_size(self.space, architecture)
        try:
            return self._flat(self.relaxed.chosen(architecture)).float()
        except (KeyError, ValueError, IndexError) as error:
            raise MethodError(
                f"this architecture of '{architecture.space}' is not described by the decisions of {self.space}, which "
                f"the measured networks are of ({type(error).__name__}: {error})"
            ) from None

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        return _of_gates(self.relaxed, gates, self.way, self._flat)

    def _flat(self, choices: Choices) -> Tensor:
        _, decisions, options = self.topology.shape
        missing = [kind for kind in self.topology.kinds if kind not in choices]
        if missing:
            raise MethodError(
                f"the encoding of {self.space} needs cells of kind '{missing[0]}', which are not searched"
            )
        rows = [choices[kind] for kind in self.topology.kinds]
        if any(each.shape != (decisions, options) for each in rows):
            raise MethodError(f"these are no decisions of {self.space}: {[tuple(each.shape) for each in rows]}")
        return torch.cat([each.flatten() for each in rows])


def _of_gates(relaxed: Relaxation, gates: Mapping[str, Gates], way: Way, flat: Callable[[Choices], Tensor]) -> Tensor:
    soft = flat(relaxed.choices(gates))
    if way == "soft":
        return soft
    hard = flat(relaxed.choices(relaxed.hard(gates)))
    return (hard - soft).detach() + soft


@dataclass(frozen=True)
class CodeEncoding:
    """The code of an architecture; for spaces without a relaxation of their own.

    Attributes:
        relaxed: what gates are of, where a search relaxes the space's decisions, option by option in their order.
    """

    space: str
    way: Way = "soft"
    relaxed: Relaxation | None = None
    topology: None = None

    @property
    def size(self) -> int:
        return sum(self._sizes())

    def _sizes(self) -> list[int]:
        """Numbers of each decision."""
        decisions = get_space(self.space).decisions()
        return [len(each.options.items if isinstance(each, SubsetDecision) else each.options) for each in decisions]

    def discrete(self, architecture: Architecture) -> Tensor:
        if architecture.space != self.space:
            refuse_own_size(self.space, architecture)
        space = get_space(self.space)
        chosen = zip(space.decisions(), space.encode(architecture), strict=True)
        return torch.cat([_numbers_of(decision, option) for decision, option in chosen])

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        if self.relaxed is None:
            raise MethodError(f"{self.space} has no relaxation: a latency of its gates cannot be predicted")
        return _of_gates(self.relaxed, gates, self.way, self._flat)

    def _flat(self, choices: Choices) -> Tensor:
        (rows,) = choices.values()
        return torch.cat([row[:size] for row, size in zip(rows, self._sizes(), strict=True)])


def _numbers_of(decision: Decision, option: int) -> Tensor:
    if isinstance(decision, SubsetDecision):
        subset = decision.options[option]
        return torch.tensor([float(item in subset) for item in decision.options.items])
    return torch.eye(len(decision.options))[option]


def encoding_of(space: str, way: Way = "soft", relaxed: Relaxation | None = None) -> Encoding:
    """Args:
    relaxed: what gates are of, where not as the space relaxes it: another rule derives an architecture from them.

    Raises:
        MethodError: the decisions of `relaxed` are not the space's; an unknown way.
        NoDecisionsError: the space has none.
    """
    if way not in WAYS:
        raise MethodError(f"way={shown(way)} is none of {', '.join(WAYS)}")
    usual = RELAXATIONS.get(space)
    if relaxed is not None:
        _refuse_other_decisions(space, relaxed, usual)
    if usual is not None:
        return ChoiceEncoding(relaxed or usual, way)
    found = CodeEncoding(space, way, relaxed)
    _ = found.size  # refuses what has none
    return found


def _refuse_other_decisions(space: str, relaxed: Relaxation, usual: Relaxation | None) -> None:
    if usual is None:
        if [len(each) for each in relaxed.topology.options] != CodeEncoding(space)._sizes():
            raise MethodError(f"latencies of {space} are of networks with other decisions than those of this search")
    elif relaxed.topology.shape != usual.topology.shape:
        raise MethodError(
            f"latencies of {space} are of networks that decide {' and '.join(usual.topology.kinds)}; this search "
            f"decides {' and '.join(relaxed.topology.kinds)} alone, and of what it fixes no measured network says "
            "anything"
        )


def refuse_own_size(space: str, architecture: Architecture) -> None:
    """Raises MethodError for an architecture of another space, or with a size that no decision gives."""
    also = ("general_cell",) if space == "darts_cell" else ()  # pairs of edge and operation, as GDAS derives them
    if architecture.space not in (space, *also):
        raise MethodError(f"this latency is of networks of {space}, not of '{architecture.space}'")
    own = [name for name in ("scale", "widths", "masks") if getattr(architecture, name)]
    if own:
        raise MethodError(f"this architecture has {own[0]} of its own; measured networks of {space} have none")
