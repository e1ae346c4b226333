"""Options of DNA; what they mean is in `methods.gradient.dna.search`. The numbers are ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from methods.base import MethodError
from methods.domain import check, within


@dataclass(frozen=True)
class DNAOptions:
    """Attributes:
    macs: multiply-adds of one image that are asked for; None for `ratio` of the network at hand.
    pressure: of the budget in the architecture's loss.
    move_every: epochs from one move to the next.
    step: d at first, as a share of c.
    edge, remove, add: probabilities at which windows and blocks move, see above.
    presence: probability of a block at first.
    tolerance: of the answer's MACs, as a share of the target.
    temperature: of the Gumbel-softmax.
    arch_start_epoch: the architecture does not learn before this epoch.
    """

    epochs: int = field(default=50, metadata=within("[1, 100000]"))
    batch_size: int = field(default=64, metadata=within("[2, 1000000]"))
    macs: float | None = field(default=None, metadata=within("(0, inf)"))
    ratio: float = field(default=0.5, metadata=within("(0, 1000]"))
    pressure: float = field(default=1.0, metadata=within("[0, inf)"))
    move_every: int = field(default=2, metadata=within("[1, 100000]"))
    step: float = field(default=0.25, metadata=within("(0, 1)"))
    edge: float = field(default=0.5, metadata=within("(0, 1)"))
    remove: float = field(default=0.5, metadata=within("[0, 1)"))
    add: float = field(default=0.95, metadata=within("(0, 1]"))
    presence: float = field(default=0.9, metadata=within("(0, 1)"))
    tolerance: float = field(default=0.02, metadata=within("(0, 0.5]"))
    temperature: float = field(default=1.0, metadata=within("(0, inf)"))
    arch_start_epoch: int = field(default=1, metadata=within("[0, inf)"))
    lr: float = field(default=0.025, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.001, metadata=within("[0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    weight_decay: float = field(default=3e-4, metadata=within("[0, inf)"))
    clip: float = field(default=5.0, metadata=within("(0, inf)"))
    arch_lr: float = field(default=3e-3, metadata=within("[0, inf)"))
    arch_betas: tuple[float, float] = field(default=(0.5, 0.999), metadata=within("[0, 1)"))

    def __post_init__(self) -> None:
        check(self)
        if self.arch_start_epoch >= self.epochs:
            raise MethodError(
                f"arch_start_epoch={self.arch_start_epoch} leaves none of the {self.epochs} epochs to search in; "
                "lower it or raise epochs"
            )
        if self.remove > self.presence:
            raise MethodError(f"remove={self.remove} is above presence={self.presence}: every block would go at once")
