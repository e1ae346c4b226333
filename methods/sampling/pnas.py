"""Progressive search: networks grow decision by decision, and a learned predictor says which are worth scoring.

Liu et al., ECCV 2018 (arXiv 1712.00559). At every level each network of the beam is continued in all ways; a predictor
ranks these, the first are scored and are the next beam; then the predictor is fitted anew to all scores. Reconstructed:
no search was released. What is ours:

- A level is one decision of a space, in the space's order (there, one block of a cell), and a network is a complete one
  at every level: decisions still to be taken have the space's neutral option, a skip or no block. Of its continuations
  the neutral one is the network itself, whose score is known and costs nothing.
- The budget is in evaluations and is spread evenly over the levels that are left; `beam` fixes it instead.
- The predictor is `methods.sampling.predictor`, an ensemble of five perceptrons on one-hot codes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions, decision_space
from methods.sampling.predictor import Encoder, Fit, Predictor, refuse_wide
from methods.spaces.decisions import Code, neutral_code, sample_code, size


@dataclass(frozen=True)
class PNASOptions(CodeSearchOptions):
    """The predictor's sizes are ours.

    Attributes:
        beam: networks scored at every level; 0 spreads `samples` evenly. What the last level leaves of the budget goes
            to random networks.
        members, width, steps, lr: see `methods.sampling.predictor.Fit`.
    """

    beam: int = field(default=0, metadata=within("[0, 100000]"))
    members: int = field(default=5, metadata=within("[1, 100]"))
    width: int = field(default=64, metadata=within("[1, 4096]"))
    steps: int = field(default=120, metadata=within("[1, 100000]"))
    lr: float = field(default=0.01, metadata=within("(0, inf)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        space = decision_space(self.space)
        refuse_wide("pnas", self.space, space)
        if self.samples > size(space):
            raise MethodError(
                f"samples is {self.samples}; pnas scores nothing twice, and {self.space} has {size(space)} networks"
            )


@register(
    "pnas",
    special="grows networks decision by decision in a beam, by a predictor fitted at every level (reconstructed)",
    paper="Liu et al., ECCV 2018, arXiv 1712.00559",
    space="any",
)
class PNAS(CodeSearch):
    """Every code is proposed once. Asked for more than the present level holds before it is told, it goes on to the
    next with what it knows by then.

    Attributes:
        beam: of the present level, best first.
        level: decisions taken so far.
        predicted: of every level but the first, the predictions of the codes that it chose to score.
    """

    Options = PNASOptions
    anytime = False

    def __init__(self, options: PNASOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        self.fit = Fit(options.members, options.width, options.steps, options.lr)
        self.encoder, self.sizes = Encoder(self.space), [len(each.options) for each in self.space.decisions()]
        self.level, self.beam = 0, [neutral_code(self.space)]
        self.queue: deque[Code] = deque()
        self.asked: set[Code] = set()
        self.scores: dict[Code, float] = {}
        self.predicted: list[dict[Code, float]] = []

    def propose(self) -> Code:
        """Raises MethodError when every code of the space was proposed."""
        if len(self.asked) == math.prod(self.sizes):
            raise MethodError(f"pnas has proposed all {len(self.asked)} networks of {self.space.name}")
        while not self.queue and self.level < len(self.sizes):
            self.grow()
        code = self.queue.popleft() if self.queue else self.fresh()
        self.asked.add(code)
        return code

    def grow(self) -> None:
        """Choose the next level's codes from the continuations of the beam."""
        continued = (
            (*code[: self.level], option, *code[self.level + 1 :])
            for code in self.beam
            for option in range(self.sizes[self.level])
        )
        ranked, values = self.ranked(list(dict.fromkeys(continued)))
        wanted = self.wanted()
        self.beam = []
        for code in ranked:
            if code not in self.asked:
                if len(self.queue) == wanted:
                    break
                self.queue.append(code)
            self.beam.append(code)
        self.predicted.append({code: values[code] for code in self.queue if code in values})
        self.level += 1

    def wanted(self) -> int:
        """How many codes of a level to score."""
        left = self.samples - len(self.asked)
        return min(left, self.options.beam or math.ceil(left / (len(self.sizes) - self.level)))

    def ranked(self, codes: list[Code]) -> tuple[list[Code], dict[Code, float]]:
        """Codes, the most promising first, and what was predicted of those without a score."""
        order = torch.randperm(len(codes), generator=self.generator).tolist()
        shuffled = [codes[place] for place in order]
        unknown = [code for code in shuffled if code not in self.scores]
        if len(self.scores) < 2 or not unknown:
            return sorted(shuffled, key=lambda code: -self.scores.get(code, -math.inf)), {}
        predictor = Predictor(self.encoder, list(self.scores.items()), self.fit, self.generator)
        predicted = dict(zip(unknown, predictor(unknown), strict=True))
        worth = {**predicted, **self.scores}
        return sorted(shuffled, key=lambda code: -worth[code]), predicted

    def fresh(self) -> Code:
        """Uniform over the codes that were not proposed."""
        while True:
            code = sample_code(self.space, self.generator)
            if code not in self.asked:
                return code

    def learn(self, code: Code, score: float) -> None:
        self.scores[code] = score

    def findings(self) -> dict[str, Any]:
        """How well each level's predictions, made before, ordered what was then scored."""
        levels = [{code: value for code, value in each.items() if code in self.scores} for each in self.predicted]
        taus = [kendall_tau(list(each.values()), [self.scores[code] for code in each]) for each in levels]
        return {"Kendall's tau of the predictor with the scores, by level": taus}


def kendall_tau(one: list[float], other: list[float]) -> float | None:
    """Kendall's tau-b; None where it is not defined."""
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    from scipy import stats  # a second, which only who asks for this has to wait

    return float(stats.kendalltau(one, other).statistic)
