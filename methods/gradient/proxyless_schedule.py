"""The schedule of ProxylessNAS (Cai et al., ICLR 2019, and mit-han-lab/proxylessnas), whatever it learns by.

At first, in a warm-up by a cosine of its own, paths by the first probabilities train the weights alone; so does the
epoch after it. From then on every fifth step is followed by one of the architecture on a held-out part: 50,000 images
of ImageNet in the release, a tenth here unless an experiment says other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from methods.base import MethodError, SearchContext, SearchSplit
from methods.domain import within
from methods.gradient.alternating import InSpace
from methods.gradient.path_search import SinglePathSearch
from methods.parts.gates import Gates, Logits
from methods.parts.samplers.multinomial import Multinomial
from methods.parts.schedule import cosine


@dataclass(frozen=True)
class ProxylessOptions(InSpace):
    """What both variants share; the released settings for ImageNet are the defaults.

    Attributes:
        weight_epochs, weight_epochs_lr: the warm-up, and its first learning rate.
        arch_every: steps of the weights for one of the architecture, counted in each epoch.
        label_smoothing: in the loss of the weights.
        clip: largest gradient norm of the weights; 0 for none.
    """

    epochs: int = field(default=160, metadata=within("[1, 100000]"))
    batch_size: int = field(default=256, metadata=within("[2, 1000000]"))
    arch_start_epoch: int = field(default=41, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.0, metadata=within("[0, inf)"))
    weight_decay: float = field(default=4e-5, metadata=within("[0, inf)"))
    clip: float = field(default=0.0, metadata=within("[0, inf)"))
    nesterov: bool = field(default=True, metadata={"absent": False})
    arch_lr: float = field(default=1e-3, metadata=within("[0, inf)"))
    arch_betas: tuple[float, float] = field(default=(0.0, 0.999), metadata=within("[0, 1)"))
    arch_weight_decay: float = field(default=0.0, metadata=within("[0, inf)"))
    weight_epochs: int = field(default=40, metadata=within("[0, inf)"))
    weight_epochs_lr: float = field(default=0.05, metadata=within("[0, inf)"))
    arch_every: int = field(default=5, metadata=within("[1, 1000000]"))
    label_smoothing: float = field(default=0.1, metadata=within("[0, 1)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_epochs > self.arch_start_epoch:
            raise MethodError(
                f"arch_start_epoch={self.arch_start_epoch} lies in the {self.weight_epochs} weight_epochs, in which "
                "weights are trained alone; raise it or lower weight_epochs"
            )

    def arch_steps(self, steps: int) -> int:
        return steps // self.arch_every * self.arch_epochs


class Proxyless(SinglePathSearch):
    """The schedule of both variants; one says by what the architecture learns."""

    options: ProxylessOptions
    split = SearchSplit(train=0.9, valid=0.1, paired=True)

    def __init__(self, options: ProxylessOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.label_smoothing = options.label_smoothing
        self.sampler = Multinomial(self.generator)
        self.number = 0

    def paths(self, logits: Logits) -> Sequence[Gates]:
        return [self.sampler(logits)]

    def lr(self, epoch: int) -> float:
        o = self.options
        if epoch < o.weight_epochs:
            return cosine(epoch, o.weight_epochs, o.weight_epochs_lr, 0.0, o.warmup_epochs)
        return cosine(epoch - o.weight_epochs, o.epochs - o.weight_epochs, o.lr, o.lr_end)

    def on_epoch_start(self, epoch: int) -> bool:
        self.number = self.number if epoch == self.epoch else 0
        return super().on_epoch_start(epoch)

    def due(self) -> bool:
        self.number += 1
        return super().due() and self.number % self.options.arch_every == 0

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"number": self.number}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.number = state["number"]
