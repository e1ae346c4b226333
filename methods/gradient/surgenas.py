"""SurgeNAS: single paths in one level, at first each candidate once in turn (IEEE Transactions on Computers, 2022, doi
10.1109/TC.2022.3188175). Reconstructed.

The paper's text could not be read and no code of it was found. From its abstract: weights and architecture learn from
the same images (one level); ordered sampling, which is strictly fair; identity mappings against too many of them. How
follows the authors' sibling LightNAS (stepbuystep/LightNAS), which is bilevel, and where that says nothing it is ours:

- In the first `ordered_epochs` a step is a round: as many paths as a decision has candidates, in an order drawn anew,
  run one after the other on one batch; gradients of the weights are added up, then comes one update. After T rounds
  every candidate has learnt exactly T times. A decision with fewer candidates goes on with its next round.
- Then a step is one path by a hard Gumbel draw; temperature 5 exp(-.1 t) in the t-th epoch after the rounds.
- One loss gives both gradients, from `arch_start_epoch` on. In a round those of the architecture are averaged over the
  paths: every candidate counts once, whatever its probability.
- Around every decision leads `identity` times its input (`methods.parts.executors.identity_path`), in equal steps less,
  and none in the last epoch. Its strength is ours; LightNAS has it off.
- A latency in the loss is a row's `cost` (docs/costs.md): LightNAS' multiplier, or a term of a fixed weight.
- Not taken over: the architecture's learning rate halved every 20 epochs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from methods.base import Batch, SearchContext, SearchSplit
from methods.domain import within
from methods.gradient.alternating import Composition, InSpace
from methods.gradient.path_search import Path, SinglePathSearch, Sums, added_up, averaged
from methods.parts.bilevel import without_gradients
from methods.parts.executors.identity_path import identity_paths
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Softmax
from methods.parts.samplers.hard_gumbel import HardGumbel
from methods.parts.samplers.ordered import OrderedPass
from methods.parts.schedule import linear
from methods.registry import register
from methods.spaces.relaxation import Relaxation


@dataclass(frozen=True)
class SurgeNASOptions(InSpace):
    """LightNAS' released settings (for 100 classes of ImageNet) where SurgeNAS' are not known to us.

    Attributes:
        ordered_epochs: epochs of rounds.
        temperature, temperature_decay: of the Gumbel-softmax: its first one, and its fall in an epoch.
        identity: eta in the first epoch; 0 for no path around.
        label_smoothing: in the loss.
    """

    epochs: int = field(default=90, metadata=within("[1, 100000]"))
    batch_size: int = field(default=128, metadata=within("[2, 1000000]"))
    arch_start_epoch: int = field(default=10, metadata=within("[0, inf)"))
    lr: float = field(default=0.1, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.0, metadata=within("[0, inf)"))
    weight_decay: float = field(default=3e-5, metadata=within("[0, inf)"))
    arch_lr: float = field(default=1e-3, metadata=within("[0, inf)"))
    ordered_epochs: int = field(default=10, metadata=within("[0, inf)"))
    temperature: float = field(default=5.0, metadata=within("(0, inf)"))
    temperature_decay: float = field(default=0.1, metadata=within("[0, inf)"))
    identity: float = field(default=1.0, metadata=within("[0, inf)"))
    label_smoothing: float = field(default=0.1, metadata=within("[0, 1)"))


@register(
    "surgenas",
    special="one level: rounds of all candidates in turn, then hard Gumbel draws, identities around (reconstructed)",
    paper="SurgeNAS, IEEE Trans. Computers 72(4), 2022, doi 10.1109/TC.2022.3188175",
    space="darts_cell, nasbench201, chain_s, chain_xs, chain_imagenet",
    watched="methods.gradient.watched:SURGENAS",
)
class SurgeNAS(SinglePathSearch):
    """Ordered passes, hard Gumbel draws, one loss for weights and architecture; see `SurgeNASOptions`."""

    Options = SurgeNASOptions
    options: SurgeNASOptions
    split = SearchSplit(train=1.0, valid=0.0, paired=False)

    def __init__(self, options: SurgeNASOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.label_smoothing = options.label_smoothing
        self.sampler = HardGumbel(self.generator, options.temperature)
        self.ordered = {kind: OrderedPass(self.generator) for kind in self.relaxation.topology.kinds}
        self.around = list(identity_paths(self.supernet))

    def parts(self, relaxed: Relaxation) -> Composition:
        return Composition(Softmax(relaxed.topology), relaxed.beside_identity(super().parts(relaxed).executor))

    def paths(self, logits: Logits) -> Sequence[Gates]:
        return [self.sampler(logits)]

    def draw(self) -> list[Path]:
        if self.epoch >= self.options.ordered_epochs:
            return super().draw()
        logits = {kind: self.parameterisation.logits(kind) for kind in self.ordered}
        passes = range(len(self.relaxation.topology.operations))
        return [{kind: ordered(logits[kind]) for kind, ordered in self.ordered.items()} for _ in passes]

    def on_epoch_start(self, epoch: int) -> bool:
        o = self.options
        self.sampler.temperature = o.temperature * math.exp(-o.temperature_decay * max(0, epoch - o.ordered_epochs))
        for around in self.around:
            around.eta = o.identity * linear(epoch, o.epochs, 1.0, 0.0) if o.epochs > 1 else 0.0
        return super().on_epoch_start(epoch)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> Sums:
        """One update of the weights and, once it is due, one of the architecture, by the same loss."""
        learns = self.due()
        parameters = [*self.weights, *self.alphas] if learns else self.weights
        with nullcontext() if learns else without_gradients(self.alphas):
            paths = self.draw()
            gradients, sums = added_up(self.train_losses(train_batch, paths), parameters)
        self.update_weights(gradients[: len(self.weights)])
        if learns:
            of_task = [each / len(paths) for each in gradients[len(self.weights) :] if each is not None]
            self.learn(paths, self.whole(of_task, averaged(sums), ""))
        for path in paths:
            self.counts.add({kind: gates.chosen or () for kind, gates in path.items()})
        return averaged(sums)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Adds the temperature and eta."""
        values = super().on_epoch_end(epoch, evaluate)
        eta = self.around[0].eta if self.around else 0.0
        return {**values, "paths/temperature": self.sampler.temperature, "paths/identity": eta}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"ordered": {kind: each.state_dict() for kind, each in self.ordered.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for kind, each in self.ordered.items():
            each.load_state_dict(state["ordered"][kind])
