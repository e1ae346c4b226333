"""What a step has to know of the task, in one object: loss, metric (name, unit, which way is better), and the head.

A task is a file of this folder, called as the task, with a frozen dataclass `Options` and `make(options) -> Task`; its
data are a file of the same name in `bench/data/tasks/`. No module here imports torch before a step is made: tables and
progress read a task's metrics.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from methods.domain import MethodError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Metric:
    """A number by which networks are compared.

    Attributes:
        key: what it is called in records: `test_KEY`, `valid/KEY`.
        name: what people call it.
        unit: "%", "dB"; empty for a pure number.
        higher_is_better: its direction.
        low, high: what it can be at all.
        complement: the value of which it is what is missing (100 of an error in percent), where it is such a rest.
        digits: decimals in a table.
        differences: two small ones, of which a table says how many seeds show them; a margin wider than the larger one
            decides nothing about a published value.
    """

    key: str
    name: str
    unit: str
    higher_is_better: bool
    low: float = -math.inf
    high: float = math.inf
    complement: float | None = None
    digits: int = 2
    differences: tuple[float, float] = (0.2, 0.3)

    @property
    def named(self) -> str:
        """Name and unit: "error %", "PSNR dB"."""
        return f"{self.name} {self.unit}".strip()

    @property
    def axis(self) -> str:
        """For an axis of a figure: "accuracy (%)", "PSNR (dB)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def step(self) -> str:
        """The unit of differences: "points" of percentages."""
        return "points" if self.unit == "%" else self.unit

    def written(self, value: float | None) -> str:
        """As a cell of a table has it; empty for None."""
        return "" if value is None else f"{value:.{self.digits}f}"

    def said(self, value: float) -> str:
        """With its unit: "3.00 %"."""
        return f"{self.written(value)} {self.unit}".strip()

    def score(self, value: float) -> float:
        """The same number such that higher is better: what a search is told. Of a score, the number again."""
        return value if self.higher_is_better else -value

    def gain(self, value: float, other: float) -> float:
        """How much better a value is than another one, in the metric's unit."""
        return value - other if self.higher_is_better else other - value


@dataclass(frozen=True)
class Task(ABC):
    """What networks are trained for.

    Attributes of the class:
        name: of its file.
        metric: what loops sum up and searches raise.
        headline: what tables rank by; of the same measurement as `metric` (an error is what is missing of an accuracy).
        others: further numbers of a final evaluation.
        loss_terms: fields of a recipe that `loss` takes.
        recipe_fields: all fields of a recipe that only tasks which name them can have.
    """

    name: ClassVar[str]
    metric: ClassVar[Metric]
    headline: ClassVar[Metric]
    others: ClassVar[tuple[Metric, ...]] = ()
    loss_terms: ClassVar[tuple[str, ...]] = ()
    recipe_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def title(self) -> str:
        """What a table says of it; empty for the usual one."""
        return self.name.replace("_", " ")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((self.metric, self.headline, *self.others)))

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, **terms: float) -> Tensor:
        """Mean loss of a batch, a 0-d tensor.

        Args:
            terms: those of `loss_terms` that a recipe or a method sets.
        """

    @abstractmethod
    def sums(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> dict[str, Tensor]:
        """Of a training batch, as 0-d tensors on the device: `loss_sum`, `count`, and what `values` needs beside them.

        Args:
            outputs: detached.
            loss: the mean loss of the batch, detached.
        """

    @abstractmethod
    def evaluated(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The same sums of a batch of an evaluation, with what only an evaluation measures."""

    @abstractmethod
    def values(self, sums: Mapping[str, float]) -> dict[str, float]:
        """From sums over examples: "loss", and the metrics by their keys, the headline aside."""

    @abstractmethod
    def imagined_targets(self, inputs: Tensor, outputs: int) -> Tensor:
        """Random targets for a batch of random inputs: what an estimate times a step on.

        Args:
            outputs: of the network's head.
        """

    def headline_of(self, value: float) -> float:
        """The headline of a value of `metric`; and back, for one is what is missing of the other, or the same."""
        return value if self.headline.complement is None else self.headline.complement - value

    @property
    def counted_at(self) -> tuple[int, int] | None:
        """Height and width of the input at which a network's costs are counted; None for those of the data."""
        return None

    def outputs(self, channels: int) -> int | None:
        """Of a network's head, for images of so many channels; None where the data say it, as by their classes."""
        return None

    def input_side(self, side: int) -> int:
        """Height and width of what a network reads, for a square target of this side, where targets are images."""
        return side

    baseline_name: ClassVar[str | None] = None
    """Of an untrained network that any result has to beat."""

    def baseline(self) -> nn.Module | None:
        """That network; None for none."""
        return None


@dataclass(frozen=True)
class NoOptions:
    """Of a task that has nothing to choose."""


def require_metric(task: Any) -> Task:
    """The task, where it says by what its networks are compared.

    Raises:
        MethodError: it has no metric, no headline, or one that is none.
    """
    for part in ("metric", "headline"):
        if not isinstance(getattr(task, part, None), Metric):
            raise MethodError(
                f"task '{getattr(task, 'name', type(task).__name__)}' has no {part}: nothing says by what its networks "
                f"are compared; give its class `{part} = Metric(key, name, unit, higher_is_better)`"
            )
    found: Task = task
    return found
