"""How the proposals of a sampling search are scored, as an experiment says it; `bench.run.evaluators` does it.

A row names its evaluator (`evaluator`, "proxy" where it does not) and what makes it (`evaluation`); a profile's
`evaluation`, by evaluator or row, comes before that. What an evaluator can be told is the dataclass `Options` of a file
of `bench.plan.evaluations`, called as the evaluator.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from bench.config import ConfigError, identity, nearest, parse
from bench.plan import evaluations
from methods.domain import shown

if TYPE_CHECKING:
    from bench.plan.recipe import Recipe


class Evaluation:
    """What the options of every evaluator are.

    Attributes:
        name: the evaluator's.
        trains: whether a score is a training with the experiment's recipe, which is then part of the search's run.
        sees_images: whether it scores on a division of the training images.
        at_once: proposals that are asked for before the first is told; above 1, each is scored by a run of its own.
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = False
    sees_images: ClassVar[bool] = True
    at_once: int = 1

    def refuse(self, space: str, method: str) -> None:
        """Raises ConfigError for a space whose architectures it cannot score; "" is one that is not known."""

    def recipe_of(self, recipe: Recipe) -> Recipe:
        """Of a training that is a score, where a row's networks are retrained by `recipe`."""
        return recipe

    def refuse_dataset(self, dataset: str) -> None:
        """Raises ConfigError for a data set that it cannot score on."""


def evaluator_names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(evaluations.__path__)))


def evaluation_class(name: str) -> type[Evaluation]:
    """The options of one of `evaluator_names`."""
    found: type[Evaluation] = import_module(f"{evaluations.__name__}.{name}").Options
    return found


def make_evaluation(name: str, given: dict[str, Any], where: str) -> Evaluation:
    """The evaluator of a row with its options.

    Raises:
        ConfigError: unknown, or an option that it does not have.
    """
    if name not in evaluator_names():
        raise ConfigError(f"{where}: unknown evaluator {shown(name)}" + nearest(name, evaluator_names()))
    return parse(evaluation_class(name), given, where)


def as_config(evaluation: Evaluation) -> dict[str, Any]:
    """The part of a search's configuration that names its evaluator: none for proxies: their recipe does."""
    return {} if evaluation.name == "proxy" else {"evaluator": {"name": evaluation.name, **identity(evaluation)}}
