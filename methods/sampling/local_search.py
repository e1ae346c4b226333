"""Local search: hill climbing with restarts (White, Nolen and Savani, UAI 2021, arXiv 2005.02960).

From a random start, score every neighbour (every code at distance one) and move to the best, until none is better:
a local optimum. Then start again. Den Ottelander et al. (arXiv 2004.08996) found the same baseline strong.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import torch

from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions, decision_space
from methods.spaces.decisions import Code, neighbours, sample_code, size


@dataclass(frozen=True)
class LocalSearchOptions(CodeSearchOptions):
    """The defaults are the paper's algorithm. Its released code (naszilla) has 10 starts and moves at the first.

    Attributes:
        starts: random codes scored before each climb, which sets out from the best of them.
        improvement: move to the "best" of all neighbours, or to the "first" that is better.
    """

    starts: int = field(default=1, metadata=within("[1, 100000]"))
    improvement: Literal["best", "first"] = "best"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = size(decision_space(self.space))
        if self.samples > whole:
            raise MethodError(
                f"samples is {self.samples}; local search scores nothing twice, and {self.space} has {whole} networks"
            )


@register(
    "local_search",
    special="hill climbing: scores all neighbours, moves to the best, starts again from a local optimum",
    paper="White et al., UAI 2021, arXiv 2005.02960",
    space="any",
)
class LocalSearch(CodeSearch):
    """Every code is proposed once: a score that is known counts in every neighbourhood it belongs to, at no cost.

    Asked for more than the present neighbourhood holds, it proposes random codes, which become the next starts.

    Attributes:
        place: where the climb stands; None while its starts are scored.
        group: the starts, or the neighbours of `place` in random order.
        optima: the local optima reached so far.
    """

    Options = LocalSearchOptions
    anytime = True

    def __init__(self, options: LocalSearchOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options, self.size = options, size(self.space)
        self.scores: dict[Code, float] = {}
        self.asked: set[Code] = set()
        self.ahead: list[Code] = []
        self.optima: list[Code] = []
        self.place: Code | None = None
        self.group: list[Code] = []
        self.queue: deque[Code] = deque()

    def propose(self) -> Code:
        """Raises MethodError when every code of the space was proposed."""
        if len(self.asked) == self.size:
            raise MethodError(f"local_search has proposed all {self.size} networks of {self.space.name}")
        code = self.next_in_group()
        if code is None:
            code = self.fresh()
            self.ahead.append(code)
        self.asked.add(code)
        return code

    def next_in_group(self) -> Code | None:
        """A code whose score decides the next move; None while all that are left are waiting for theirs."""
        while True:
            if not self.moves() and not self.queue:
                return None
            while self.queue:
                code = self.queue.popleft()
                if code not in self.asked:
                    return code

    def moves(self) -> bool:
        """Move, or start again, if what is known of the group allows it."""
        known = [code for code in self.group if code in self.scores]
        if self.place is not None:
            better = [code for code in known if self.scores[code] > self.scores[self.place]]
            if better and self.options.improvement == "first":
                return self.climb(better[0])
        if len(known) < len(self.group):
            return False
        best = max(known, key=lambda code: self.scores[code], default=None)
        if best is not None and (self.place is None or self.scores[best] > self.scores[self.place]):
            return self.climb(best)
        return self.restart()

    def climb(self, place: Code) -> bool:
        around = list(neighbours(self.space, place))
        order = torch.randperm(len(around), generator=self.generator).tolist()
        self.place, self.group = place, [around[number] for number in order]
        self.queue = deque(self.group)
        return True

    def restart(self) -> bool:
        if self.place is not None:
            self.optima.append(self.place)
        wanted = self.options.starts
        self.place, self.group, self.ahead = None, self.ahead[:wanted], self.ahead[wanted:]
        while len(self.group) < min(wanted, self.size - len(self.asked)):
            self.group.append(self.fresh())
        self.queue = deque(self.group)
        return True

    def fresh(self) -> Code:
        """Uniform over the codes that are neither asked for nor among the starts."""
        while True:
            code = sample_code(self.space, self.generator)
            if code not in self.asked and code not in self.group:
                return code

    def learn(self, code: Code, score: float) -> None:
        self.scores[code] = score
