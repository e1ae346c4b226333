"""A published validation accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.config import ConfigError
from bench.data.tables import get_table
from bench.plan.evaluation import Evaluation
from bench.plan.lookup import refuse_space
from methods.domain import check, within


@dataclass(frozen=True)
class Options(Evaluation):
    """Attributes:
    table: of trained networks, by name.
    epochs: training budget of the validation values.
    """

    name = "table"
    sees_images = False
    table: str
    epochs: int = field(metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for dataset in get_table(self.table).datasets:
            self.refuse_dataset(dataset)

    def refuse(self, space: str, method: str) -> None:
        refuse_space(self.table, space, method)

    def refuse_dataset(self, dataset: str) -> None:
        get_table(self.table).measure(dataset, "validation", self.epochs)
