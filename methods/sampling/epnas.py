"""EPNAS: a growing network is edited by a learned policy, under several constraints (BMVC 2019, arXiv 1907.04648).

Reconstructed from the abstract, for the text was not read: a progressive search with REINFORCE, performance prediction,
and constraints on model size, compute and compute intensity. What is ours is all the rest:

- It starts from the smallest network, every decision at the space's neutral option. After every `grow_every` scores one
  decision more, in the space's order, is open to edits.
- An edit gives one open decision another option (`methods.sampling.edit_policy`), in the best network so far that keeps
  all constraints and has an edit that was not tried.
- The policy draws `candidates` edits, and a predictor (`methods.sampling.predictor`) fitted anew every `refit` scores
  picks the one with the best predicted reward; before there are `refit` scores the first is taken. A gradient from
  picked edits is no longer unbiased.
- The reward is the score times a product of penalties, one a constraint (`methods.sampling.constraints`). The answer is
  the best score among networks that keep all of them; the smallest network has to.
- `workers` proposals are made by one policy, and it learns from them at once when all of them are told; they are
  trained side by side where the experiment asks for as many at once (`evaluation: {at_once: 4}`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext
from methods.domain import within
from methods.registry import register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions, decision_space
from methods.sampling.constraints import COUNTS, constraints
from methods.sampling.edit_policy import Edit, EditPolicy, Learning
from methods.sampling.predictor import Encoder, Fit, Predictor, refuse_wide
from methods.spaces.decisions import Code, neutral_code


@dataclass(frozen=True)
class EPNASOptions(CodeSearchOptions):
    """Attributes:
    at_most, at_least: bounds by what is counted: params, macs, intensity (MACs per byte), bytes_per_mac.
    exponent: of a broken bound's penalty.
    workers: proposals of one policy.
    grow_every: scores for each decision that is opened.
    candidates: edits that the predictor picks from; 1 leaves it out.
    refit: scores between two fits of the predictor.
    width, lr, momentum, entropy: see `methods.sampling.edit_policy.Learning`.
    """

    at_most: Mapping[str, float] = field(default_factory=dict, hash=False, metadata=within("(0, inf)"))
    at_least: Mapping[str, float] = field(default_factory=dict, hash=False, metadata=within("(0, inf)"))
    exponent: float = field(default=1.0, metadata=within("(0, inf)"))
    workers: int = field(default=4, metadata=within("[1, 10000]"))
    grow_every: int = field(default=6, metadata=within("[1, 100000]"))
    candidates: int = field(default=10, metadata=within("[1, 10000]"))
    refit: int = field(default=12, metadata=within("[2, 100000]"))
    width: int = field(default=32, metadata=within("[1, 4096]"))
    lr: float = field(default=0.01, metadata=within("(0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    entropy: float = field(default=0.01, metadata=within("[0, inf)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_wide("epnas", self.space, decision_space(self.space))
        for name in (*self.at_most, *self.at_least):
            if name not in COUNTS:
                raise MethodError(f"a constraint is on '{name}'; what can be bounded is {', '.join(COUNTS)}")


@register(
    "epnas",
    special="a policy learned by REINFORCE edits a growing network under several constraints (reconstructed)",
    paper="EPNAS, BMVC 2019, arXiv 1907.04648",
    space="any",
)
class EPNAS(CodeSearch):
    """Attributes:
    best: the best network so far that keeps all constraints, and its score.
    made: of each proposal, in their order, how it was made; None for the first, which was not edited.
    told: edits with their rewards, of which the policy has not learned.
    scores, keeping: of every code that is scored, and of those that keep all constraints.
    broken: how many proposals were told that break a constraint, and that do not.
    """

    Options = EPNASOptions
    anytime = True

    def __init__(self, options: EPNASOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options = options
        self.constraints = constraints(options.at_most, options.at_least, options.exponent, context)
        learning = Learning(options.width, options.lr, options.momentum, options.entropy)
        self.policy = EditPolicy(self.space, learning, self.generator)
        self.encoder, self.predictor = Encoder(self.space), None
        self.start = neutral_code(self.space)
        self.best: tuple[Code, float] = (self.start, -float("inf"))
        self.made: list[tuple[Code, int, Edit] | None] = []
        self.waiting: dict[Code, list[int]] = {}
        self.told: list[tuple[Code, int, Edit, float]] = []
        self.scores: dict[Code, float] = {}
        self.keeping: dict[Code, float] = {}
        self.broken: Counter[bool] = Counter()
        smallest = self.space.decode(self.start)
        if not self.constraints.kept(smallest):
            costs = ", ".join(f"{name} {value:,.6g}" for name, value in self.constraints.values(smallest).items())
            raise MethodError(f"not even the smallest network keeps all constraints; it has {costs}")

    predictor: Predictor | None

    @property
    def grown(self) -> int:
        """Decisions that are open to edits."""
        return min(len(self.start), 1 + self.broken.total() // self.options.grow_every)

    def propose(self) -> Code:
        if not self.made:
            return self.note(self.start, None)
        grown = self.grown
        here = self.parent(grown)
        edits = self.policy.draw(here, grown, self.options.candidates if self.predictor else 1)
        codes = [(*here[:place], option, *here[place + 1 :]) for place, option in edits]
        chosen = self.screened(codes)
        return self.note(codes[chosen], (here, grown, edits[chosen]))

    def parent(self, grown: int) -> Code:
        """The best network that keeps all constraints and has an edit that is not scored; else the best of all."""
        for code in sorted(self.keeping, key=lambda code: -self.keeping[code]):
            for place in range(grown):
                options = range(self.policy.options[place])
                if any((*code[:place], option, *code[place + 1 :]) not in self.scores for option in options):
                    return code
        return self.best[0]

    def note(self, code: Code, made: tuple[Code, int, Edit] | None) -> Code:
        self.waiting.setdefault(code, []).append(len(self.made))
        self.made.append(made)
        return code

    def screened(self, codes: list[Code]) -> int:
        """The place of the candidate with the best predicted reward, of new ones if there are any."""
        if self.predictor is None or len(codes) == 1:
            return 0
        new = [place for place, code in enumerate(codes) if code not in self.scores] or list(range(len(codes)))
        scores = self.predictor([codes[place] for place in new])
        rewards = [
            score * self.constraints.penalty(self.space.decode(codes[place]))
            for place, score in zip(new, scores, strict=True)
        ]
        return new[rewards.index(max(rewards))]

    def learn(self, code: Code, score: float) -> None:
        architecture = self.space.decode(code)
        kept = self.constraints.kept(architecture)
        self.broken[not kept] += 1
        self.scores[code] = score
        if kept:
            self.keeping[code] = score
            self.best = max(self.best, (code, score), key=lambda each: each[1])
        made = self.made[self.waiting[code].pop(0)]
        if made is not None:
            self.told.append((*made, score * self.constraints.penalty(architecture) / 100))
        if self.told and self.broken.total() % self.options.workers == 0:
            self.policy.learn(self.told)
            self.told = []
        if self.options.candidates > 1 and self.broken.total() % self.options.refit == 0 and len(self.scores) > 1:
            self.predictor = Predictor(self.encoder, list(self.scores.items()), Fit(), self.generator)

    def architecture(self) -> Architecture:
        """The best that keeps all constraints. Raises MethodError while one of several proposals has no score."""
        found = self.history.best()
        if len(self.history.asked) == 1:
            return found
        told = zip(self.history.asked, self.history.scores, strict=True)
        keeping = [(each, score) for each, score in told if score is not None and self.constraints.kept(each)]
        return max(keeping, key=lambda each: each[1])[0]

    def findings(self) -> dict[str, Any]:
        """How often proposals broke a constraint, where there are any."""
        if not (self.options.at_most or self.options.at_least):
            return {}
        return {"share of proposals that broke a constraint": self.broken[True] / max(1, self.broken.total())}
