"""A short training with the experiment's recipe, scored on validation images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bench.config import ConfigError
from bench.plan.evaluation import Evaluation
from bench.plan.recipe import Recipe
from methods.domain import check, within


@dataclass(frozen=True)
class Options(Evaluation):
    """It scores in any space that can be built.

    Attributes:
        epochs: of a proposal's training; None for as many as a retraining has.
        at_once: proposals of a round. They are asked for before one of them is told, and each is trained by a run of
            its own, so that a queue does as many at once as it has devices. The search is the same on however many.
    """

    name = "proxy"
    trains = True
    epochs: int | None = field(default=None, metadata=within("[1, 100000]") | {"absent": None})
    at_once: int = field(default=1, metadata=within("[1, 1000]") | {"absent": 1})

    def __post_init__(self) -> None:
        check(self, ConfigError)

    def recipe_of(self, recipe: Recipe) -> Recipe:
        return recipe if self.epochs is None else replace(recipe, epochs=self.epochs)
