"""Options of ENAS (`methods.gradient.enas`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from methods.domain import check, within
from methods.parts.schedule import cosine, restarts
from methods.spaces.supernets import refuse_other_sizes


@dataclass(frozen=True)
class ENASOptions:
    """The defaults are those released for cells on CIFAR-10 (melodyguan/enas), as far as `Controller` has them.

    Those for NAS-Bench-201 (AutoDL-Projects, ENAS.config and ENAS.sh): epochs 250, batch_size 128, channels 16,
    weight_decay 2.5e-4, lr_schedule oscillating, controller_samples 5, controller_lr .001, aggregate 20,
    baseline_decay .99.

    Attributes:
        channels, cells, cells_per_stage: size of the supernet, see `SupernetSettings`.
        lr_schedule: of SGD's learning rate between lr and lr_end: a cosine over the epochs ("cosine"), one over
            `lr_period` epochs that begins again, twice as long ("restarts"), or one that goes back as it came
            ("oscillating"), which is what the code for NAS-Bench-201 does.
        controller_samples: draws that are rewarded in a step.
        aggregate: draws between two updates of the controller.
        entropy_weight: of the draw's entropy in its reward.
        final_samples: last draws that the answer is the best of.
    """

    epochs: int = field(default=150, metadata=within("[1, 100000]"))
    batch_size: int = field(default=160, metadata=within("[2, 1000000]"))
    channels: int = field(default=20, metadata=within("[2, 4096]"))
    cells: int = field(default=6, metadata=within("[3, 200]"))
    cells_per_stage: int = field(default=5, metadata=within("[1, 60]"))
    space: str = "darts_cell"
    lr: float = field(default=0.05, metadata=within("[0, inf)"))
    lr_end: float = field(default=5e-4, metadata=within("[0, inf)"))
    lr_schedule: Literal["cosine", "restarts", "oscillating"] = "restarts"
    lr_period: int = field(default=10, metadata=within("[1, 100000]"))
    momentum: float = field(default=0.9, metadata=within("(0, 1)"))
    weight_decay: float = field(default=1e-4, metadata=within("[0, inf)"))
    clip: float = field(default=5.0, metadata=within("(0, inf)"))
    controller_lr: float = field(default=0.0035, metadata=within("[0, inf)"))
    controller_samples: int = field(default=1, metadata=within("[1, 10000]"))
    aggregate: int = field(default=10, metadata=within("[1, 10000]"))
    entropy_weight: float = field(default=1e-4, metadata=within("[0, inf)"))
    baseline_decay: float = field(default=0.999, metadata=within("[0, 1)"))
    final_samples: int = field(default=100, metadata=within("[1, 100000]"))

    def __post_init__(self) -> None:
        check(self)
        refuse_other_sizes(self, self.space)

    def lr_at(self, epoch: int) -> float:
        """SGD's learning rate, constant within an epoch."""
        at = {"cosine": (epoch, self.epochs), "oscillating": (epoch, self.lr_period)}
        return cosine(*at.get(self.lr_schedule, restarts(epoch, self.lr_period)), self.lr, self.lr_end)
