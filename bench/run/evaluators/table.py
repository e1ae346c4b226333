"""Scores by look-up: the validation accuracy that a published table names for a network, after a stated training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.tables import Table, get_table
from bench.plan.evaluations.table import Options
from bench.run.evaluators.base import Prepared, Proposal, Scored
from bench.run.phases.context import RunContext


def make(run: RunContext, evaluation: Options) -> TableEvaluator:
    """For a search on the data set of a run."""
    table = get_table(evaluation.table)
    return TableEvaluator(table, run.info.dataset, evaluation.epochs, run.directory.checkpoints)


@dataclass
class TableEvaluator:
    """Validation accuracies of `table` on `dataset` after `epochs`; it has no way to the test values."""

    table: Table
    dataset: str
    epochs: int
    kept: Path

    def __post_init__(self) -> None:
        self.values = self.table.validation(self.dataset, self.epochs)

    def prepare(self) -> Prepared | None:
        return None

    def restored(self, number: int, scored: Scored) -> Scored:
        return scored

    def score(self, proposals: Sequence[Proposal]) -> list[Scored]:
        """What the trainings behind the table took is not known: tables have no times."""
        return [Scored(float(self.values[self.table.index(proposal)]), None, None, None) for _, proposal in proposals]
