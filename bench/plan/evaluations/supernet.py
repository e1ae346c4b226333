"""One-shot weights: a supernet is trained by one uniformly drawn path a step (Li and Talwalkar, UAI 2019)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from bench.config import ConfigError, nearest
from bench.plan.evaluation import Evaluation
from methods.domain import check, within
from methods.spaces.supernets import PATHS, RELAXATIONS


@dataclass(frozen=True)
class Options(Evaluation):
    """The defaults of the training are those released for NAS-Bench-201 (AutoDL-Projects, RANDOM.config).

    A proposal is scored on the validation images with the weights it shares, after its normalisations' statistics were
    taken anew on training images.

    Attributes:
        channels, cells, cells_per_stage: size of the supernet, see `SupernetSettings`.
        lr, lr_end: SGD's learning rate, by a cosine over the epochs.
        clip: largest gradient norm.
        recalibration_batches: training batches for the statistics of one proposal.
    """

    name = "supernet"
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
        if space in RELAXATIONS and not RELAXATIONS[space].size:
            usual = {each.name: each.default for each in fields(self)}
            for name in ("channels", "cells", "cells_per_stage"):
                if getattr(self, name) != usual[name]:
                    raise ConfigError(
                        f"{name}={getattr(self, name)} says nothing of a supernet of {space}: its size is that of the "
                        f"space; leave {name} at {usual[name]}"
                    )
