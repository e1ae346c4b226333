"""What searches over a space's decisions share: they see codes and scores, never an architecture's form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SamplingSearch, SearchContext
from methods.domain import check, within
from methods.sampling.history import History
from methods.spaces import get_space
from methods.spaces.base import resting
from methods.spaces.decisions import Code, DecisionSpace


@dataclass(frozen=True)
class CodeSearchOptions:
    """Common to all of them.

    Attributes:
        samples: evaluations, those of repeated proposals included.
        space: any space with decisions.
    """

    samples: int = field(default=100, metadata=within("[1, 100000]"))
    space: str = field(default="darts_cell", metadata={"absent": "darts_cell"})

    def __post_init__(self) -> None:
        check(self)
        decision_space(self.space)


def decision_space(name: str) -> DecisionSpace:
    """The space called `name`.

    Raises:
        MethodError: unknown, or a space without decisions.
    """
    try:
        space = get_space(name)
        space.decisions()
    except ArchitectureError as error:
        raise MethodError(f"space is '{name}': {error}") from None
    return space


class CodeSearch(SamplingSearch):
    """A subclass proposes codes and learns from their scores; the answer is the best of all that were scored."""

    anytime = True
    may_start_from = True

    def __init__(self, options: CodeSearchOptions, context: SearchContext) -> None:
        own = resting(decision_space(options.space), context.start.found if context.start else ())
        self.samples, self.space = options.samples, context.within or own
        self.generator = torch.Generator().manual_seed(context.seed)
        self.history = History(self.name, context.seed)
        self.codes: list[Code] = []

    @abstractmethod
    def propose(self) -> Code:
        """The next code to try. Those before it are in `codes`, whether they have been told or not."""

    @abstractmethod
    def learn(self, code: Code, score: float) -> None:
        """The score of a code that was proposed; higher is better."""

    def ask(self) -> Architecture:
        self.codes.append(self.propose())
        return self.history.add(self.space.decode(self.codes[-1]))

    def tell(self, architecture: Architecture, score: float) -> None:
        self.learn(self.codes[self.history.tell(architecture, score)], score)

    def architecture(self) -> Architecture:
        """Raises MethodError while one of several proposals has no score."""
        return self.history.best()
