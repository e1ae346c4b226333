"""How the proposals of a sampling search are scored, as an experiment says it; `bench.run.evaluators` does it.

A row names its evaluator (`evaluator`, "proxy" where it does not) and what makes it (`evaluation`); a profile's
`evaluation`, by evaluator or row, comes before that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.config import ConfigError, identity, nearest, parse
from bench.data.tables import get_table
from bench.plan.lookup import refuse_space
from methods.domain import check, shown, within
from methods.spaces.supernets import PATHS


@dataclass(frozen=True)
class ProxyEvaluation:
    """A short training with the experiment's recipe, scored on validation images. It has no options of its own."""

    name: ClassVar[str] = "proxy"

    def refuse(self, space: str, method: str) -> None:
        """Any space that can be built."""


@dataclass(frozen=True)
class TableEvaluation:
    """A published validation accuracy.

    Attributes:
        table: of trained networks, by name.
        epochs: training budget of the validation values.
    """

    name: ClassVar[str] = "table"
    table: str
    epochs: int = field(metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for dataset in get_table(self.table).datasets:
            get_table(self.table).measure(dataset, "validation", self.epochs)

    def refuse(self, space: str, method: str) -> None:
        refuse_space(self.table, space, method)


@dataclass(frozen=True)
class SupernetEvaluation:
    """One-shot weights: a supernet is trained by one uniformly drawn path a step (Li and Talwalkar, UAI 2019).

    The defaults of the training are those released for NAS-Bench-201 (AutoDL-Projects, RANDOM.config). A proposal is
    scored on the validation images with the weights it shares, after its normalisations' statistics were taken anew on
    training images.

    Attributes:
        channels, cells, cells_per_stage: size of the supernet, see `SupernetSettings`.
        lr, lr_end: SGD's learning rate, by a cosine over the epochs.
        clip: largest gradient norm.
        recalibration_batches: training batches for the statistics of one proposal.
    """

    name: ClassVar[str] = "supernet"
    epochs: int = field(default=250, metadata=within("[1, 100000]"))
    batch_size: int = field(default=64, metadata=within("[2, 1000000]"))
    channels: int = field(default=16, metadata=within("[2, 4096]"))
    cells: int = field(default=8, metadata=within("[3, 200]"))
    cells_per_stage: int = field(default=5, metadata=within("[1, 100]"))
    lr: float = field(default=0.025, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.001, metadata=within("[0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    nesterov: bool = True
    weight_decay: float = field(default=5e-4, metadata=within("[0, inf)"))
    clip: float = field(default=5.0, metadata=within("(0, inf)"))
    recalibration_batches: int = field(default=4, metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov needs a momentum above 0")

    def refuse(self, space: str, method: str) -> None:
        if space not in PATHS:
            raise ConfigError(
                f"{method} works in the space {space or 'unknown'}, which has no supernet of single paths"
                + nearest(space, PATHS)
            )


Evaluation = ProxyEvaluation | TableEvaluation | SupernetEvaluation
EVALUATIONS: dict[str, type[Evaluation]] = {
    kind.name: kind for kind in (ProxyEvaluation, TableEvaluation, SupernetEvaluation)
}


def make_evaluation(name: str, given: dict[str, Any], where: str) -> Evaluation:
    """The evaluator of a row with its options.

    Raises:
        ConfigError: unknown, or an option that it does not have.
    """
    if name not in EVALUATIONS:
        raise ConfigError(f"{where}: unknown evaluator {shown(name)}" + nearest(name, EVALUATIONS))
    return parse(EVALUATIONS[name], given, where)


def as_config(evaluation: Evaluation) -> dict[str, Any]:
    """The part of a search's configuration that names its evaluator: none for proxies, which need no word."""
    if isinstance(evaluation, ProxyEvaluation):
        return {}
    return {"evaluator": {"name": evaluation.name, **identity(evaluation)}}
