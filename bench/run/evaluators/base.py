"""The interface of evaluators, and what a score is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from methods.architecture import Architecture

Proposal = tuple[int, Architecture]
"""The number of a proposal in its search, from 0, and what was proposed."""


@dataclass(frozen=True)
class Cost:
    """What something cost over all attempts; None where it is not known.

    Attributes:
        images: trained and evaluated on.
        peak_memory: bytes.
    """

    images: int | None
    seconds: float | None
    peak_memory: int | None


@dataclass(frozen=True)
class Prepared(Cost):
    """What came before the first score: its cost, its last metrics, and the epochs in metrics.jsonl."""

    metrics: Mapping[str, Any]
    epochs: int


@dataclass(frozen=True)
class Scored:
    """What a proposal was told, and what the score stands for.

    Attributes:
        score: the task's metric on the validation part (accuracy in percent), such that higher is better.
        images, seconds, peak_memory: see `Cost`.
    """

    score: float
    images: int | None
    seconds: float | None
    peak_memory: int | None

    def again(self) -> Scored:
        """For the same architecture proposed once more: nothing is trained again."""
        return replace(self, images=0, seconds=0.0)


class Evaluator(Protocol):
    """Scores architectures; the same architecture always gets the same score in one run."""

    @property
    def kept(self) -> Path:
        """The folder in which a search writes down what it was told."""

    def prepare(self) -> Prepared | None:
        """Whatever comes before the first score (training a supernet), continued where it was stopped."""

    def restored(self, number: int, scored: Scored) -> Scored:
        """A score that an earlier attempt wrote down, with what is known of its cost by now."""

    def score(self, proposals: Sequence[Proposal]) -> list[Scored]:
        """Scores of different architectures, in their order."""
