"""LISSNAS: shrink a space to a list of networks near several good ones, then search in the list.

LISSNAS, IJCAI 2023 (arXiv 2307.03110). Near networks score alike (locality), so that the neighbours of good ones
are good. Reconstructed from the abstract, for the text was not read. What is ours: all numbers, and these rules.

1. Score `first` random networks.
2. Seeds: of the `2 * seeds` best so far `seeds` that are far apart (`methods.sampling.shrinking.spread`), which keeps
   the list diverse. The new list is all networks at most `radius` steps from a seed.
3. Score up to `sampled` networks of it, drawn uniformly from those without a score. Their mean is an estimate of the
   list's. If it is above the last one and the list is shorter than the last one, the list is kept and the next round
   has half as many seeds (at least two); otherwise the last list stays and the shrinking has ended. Where no list was
   better than the whole space, that stays.
4. The rest of the budget is spent by the search `then`, which proposes from the list alone. Any sampling search can
   (`SearchContext.within`).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from methods.base import MethodError, SamplingSearch, SearchContext
from methods.domain import within
from methods.registry import get_method, register
from methods.sampling.code_search import CodeSearch, CodeSearchOptions, decision_space
from methods.sampling.shrinking import autocorrelation, draw, mean_distance, spread
from methods.spaces.decisions import Code, ball, neighbours, neutral_code, sample_code, size
from methods.spaces.listed import ListedSpace

LEAST_SEEDS = 2
MOST_NEAR = 1_000_000
"""Networks near one seed, roughly: lists are made of these."""


@dataclass(frozen=True)
class LISSNASOptions(CodeSearchOptions):
    """Attributes:
    first: random networks scored before the first list.
    seeds: of the first list.
    radius: steps from a seed.
    sampled: networks of a list that are scored for its mean.
    rounds: lists at most.
    then: the search in the list, with its defaults.
    """

    first: int = field(default=40, metadata=within("[2, 100000]"))
    seeds: int = field(default=8, metadata=within("[2, 1000]"))
    radius: int = field(default=2, metadata=within("[1, 4]"))
    sampled: int = field(default=12, metadata=within("[1, 100000]"))
    rounds: int = field(default=4, metadata=within("[1, 100]"))
    then: Literal["random_sampling", "regularized_evolution", "reinforce"] = "random_sampling"

    def __post_init__(self) -> None:
        super().__post_init__()
        space = decision_space(self.space)
        near = len(list(neighbours(space, neutral_code(space))))
        if near**self.radius > MOST_NEAR:
            raise MethodError(
                f"space is '{self.space}': its networks have some {near} neighbours each, so that too many are within "
                f"{self.radius} steps to be listed; take a smaller radius"
            )


@register(
    "lissnas",
    special="shrinks its space to a list of networks near several good ones, then searches in that (reconstructed)",
    paper="LISSNAS, IJCAI 2023, arXiv 2307.03110",
    space="any",
)
class LISSNAS(CodeSearch):
    """Asked for more than a round holds before that is told, it proposes random networks that were not proposed before.

    Attributes:
        listed: the shrunk space, when shrinking has ended; None where the whole space stays.
        shrunk_after: proposals made by then; 0 before.
        sizes, means: of the whole space and of each list that was kept.
        inner: the search in the list.
        inside: of the codes that it proposed, how often each waits for a score.
    """

    Options = LISSNASOptions
    shrinks = True
    anytime = True

    def __init__(self, options: LISSNASOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.options, self.context = options, context
        self.scores: dict[Code, float] = {}
        self.asked: set[Code] = set()
        self.queue: deque[Code] = deque()
        self.waiting: set[Code] = set()
        self.count = options.seeds
        self.candidate: set[Code] | None = None
        self.kept: set[Code] | None = None
        self.sizes, self.means = [size(self.space)], list[float]()
        self.listed: ListedSpace | None = None
        self.shrunk_after = 0
        self.inner: SamplingSearch | None = None
        self.inside: Counter[Code] = Counter()
        self.begin([self.fresh() for _ in range(min(options.first, size(self.space)))])

    def propose(self) -> Code:
        if not self.queue and not self.waiting and self.inner is None:
            self.end_round()
        if self.inner is not None:
            code = self.space.encode(self.inner.ask())
            self.inside[code] += 1
            return code
        return self.queue.popleft() if self.queue else self.fresh()

    def fresh(self) -> Code:
        """Uniform over the codes that were not proposed; over all once everything was."""
        while True:
            code = sample_code(self.space, self.generator)
            if code not in self.asked or len(self.asked) == self.sizes[0]:
                self.asked.add(code)
                return code

    def begin(self, codes: list[Code]) -> None:
        """Codes to be scored before the next decision."""
        self.queue.extend(codes)
        self.waiting.update(codes)
        self.asked.update(codes)
        self.measured = codes

    def end_round(self) -> None:
        """With the scores of a round: keep its list or the last one, and make the next list or stop."""
        mean = sum(self.scores[code] for code in self.measured) / len(self.measured)
        rises = not self.means or mean > self.means[-1]
        if rises:
            self.means.append(mean)
        if rises and self.candidate is not None:
            self.kept = self.candidate
            self.sizes.append(len(self.kept))
            self.count = max(LEAST_SEEDS, self.count // 2)
        following = self.following() if rises and len(self.sizes) <= self.options.rounds else set()
        drawn = draw(following - self.asked, self.options.sampled, self.generator)
        if not drawn or len(following) >= self.sizes[-1]:
            self.end()
            return
        self.candidate = following
        self.begin(drawn)

    def following(self) -> set[Code]:
        """The next list, around seeds of all that is scored."""
        seeds = spread(self.space, self.scores, self.count, 2 * self.count)
        return set().union(*(ball(self.space, seed, self.options.radius) for seed in seeds))

    def end(self) -> None:
        """Shrinking is over: what is left is searched."""
        if self.kept is not None:
            self.listed = ListedSpace.of(self.space, self.kept)
        self.shrunk_after = len(self.codes)
        cls: Any = get_method(self.options.then)
        inside = replace(self.context, within=self.listed or self.context.within)
        self.inner = cls(cls.Options(samples=self.samples, space=self.options.space), inside)

    def learn(self, code: Code, score: float) -> None:
        self.scores[code] = score
        self.waiting.discard(code)
        if self.inside[code]:  # what was proposed before the inner search began may be told later
            self.inside[code] -= 1
            assert self.inner is not None
            self.inner.tell(self.space.decode(code), score)

    def findings(self) -> dict[str, Any]:
        """Locality among all that was scored; sizes and means round by round, and the list's diversity."""
        found: dict[str, Any] = {
            "correlation of scores at distance 1, 2, 3": autocorrelation(self.space, self.scores, 3),
            "mean score of the whole space and of each list": self.means,
            "networks of the whole space and of each list": self.sizes,
        }
        if self.listed is not None:
            found["mean distance of two networks in the list"] = mean_distance(self.space, self.listed.codes)
        return found
