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
    """

    name = "proxy"
    trains = True
    epochs: int | None = field(default=None, metadata=within("[1, 100000]") | {"absent": None})

    def __post_init__(self) -> None:
        check(self, ConfigError)

    def recipe_of(self, recipe: Recipe) -> Recipe:
        return recipe if self.epochs is None else replace(recipe, epochs=self.epochs)
