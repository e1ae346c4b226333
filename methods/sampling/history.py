"""What a sampling search has asked and been told: every one of them chooses from that in the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from methods.architecture import Architecture
from methods.base import MethodError
from methods.domain import shown


@dataclass
class History:
    """Proposals in the order in which they were asked for.

    An architecture that is proposed twice stands here twice and is scored twice: it costs two evaluations.

    Attributes:
        method, seed: what each proposal remembers of how it was found.
        asked: the proposals.
        scores: of each, None until it is told.
    """

    method: str
    seed: int
    asked: list[Architecture] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def add(self, drawn: Architecture) -> Architecture:
        """The next proposal: `drawn`, with its provenance."""
        known = {"method": self.method, "seed": self.seed, "sample": len(self.asked)}
        provenance = {**drawn.provenance, **known}
        self.waiting.append(len(self.asked))
        self.asked.append(replace(drawn, provenance=provenance))
        self.scores.append(None)
        return self.asked[-1]

    def tell(self, architecture: Architecture, score: float) -> int:
        """Note a score; returns the proposal's number. Of equal proposals that wait, it is the one asked first.

        Raises:
            MethodError: the score is not a finite number, or no such proposal waits for one.
        """
        if not math.isfinite(score):
            raise MethodError(f"{self.method} was told the score {shown(score)}; it must be a finite number")
        number = next((n for n in self.waiting if self.asked[n] is architecture), None)
        if number is None:
            number = next((n for n in self.waiting if self.asked[n] == architecture), None)
        if number is None:
            raise MethodError(
                f"{self.method} was told a score of architecture {architecture.digest}, which waits for none: it was "
                "not asked for, or was told before"
            )
        self.waiting.remove(number)
        self.scores[number] = score
        return number

    def best(self) -> Architecture:
        """The proposal with the best score, of equals the one asked first; a single proposal needs no score.

        Raises:
            MethodError: nothing was asked for, or one of several proposals has no score.
        """
        if not self.asked:
            raise MethodError(f"{self.method} has drawn no architecture yet; call ask() first")
        if len(self.asked) == 1:
            return self.asked[0]
        if self.waiting:
            raise MethodError(
                f"{len(self.waiting)} of {len(self.asked)} samples have no score; tell() each before choosing"
            )
        scores = [score for score in self.scores if score is not None]
        return self.asked[scores.index(max(scores))]
