"""FBNetV2, DMaskingNAS: channels, blocks and resolution by Gumbel masks on one network (Wan et al., CVPR 2020, arXiv
2004.05565).

The masks are those of `methods.spaces.elastic`: every choice of a space of widths is a decision with one logit an
option, and each forward pass draws soft Gumbel gates of all of them. The cost of the drawn, effective shapes is in the
loss of the architecture by the row's `cost` (docs/costs.md); the published form is `objective: log_ratio`, CE times
alpha log(cost)^beta, over MACs or parameters. At the end each decision keeps its most probable option.

The paper's settings are known to us through FBNet's (Wu et al., CVPR 2019), whose habits the defaults are: 80 % of the
images for weights and 20 % for the architecture, which waits for 10 of 90 epochs. There an epoch does the one and then
the other, here every step. The schedule of the temperature is FBNet's too; for other numbers of epochs it is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from methods.base import Batch, MethodError, SearchContext, SearchSplit
from methods.domain import within
from methods.gradient.alternating import AlternatingOptions, AlternatingSearch, Composition
from methods.parts.bilevel import frozen_statistics, loss_and_sums, without_gradients
from methods.parts.gates import Gates
from methods.parts.monitor import entropies
from methods.parts.parameterisation import Softmax
from methods.parts.path_counts import decision_entropies
from methods.parts.samplers.soft_gumbel import SoftGumbel
from methods.registry import register
from methods.spaces.relaxation import Relaxation
from methods.spaces.supernets import refuse_sizes
from methods.spaces.width_supernet import KIND, width_relaxation


@dataclass(frozen=True)
class FBNetV2Options(AlternatingOptions):
    """Attributes:
    space: one of widths; `channels` and `cells` say nothing of it.
    valid_fraction: share of the images that the architecture learns from.
    temperature, temperature_factor: of the Gumbel-softmax: its first one, and what an epoch multiplies it with.
    """

    space: str = "chain_s_widths"
    epochs: int = field(default=90, metadata=within("[1, 100000]"))
    batch_size: int = field(default=192, metadata=within("[2, 1000000]"))
    arch_start_epoch: int = field(default=10, metadata=within("[0, inf)"))
    lr: float = field(default=0.1, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.0, metadata=within("[0, inf)"))
    weight_decay: float = field(default=1e-4, metadata=within("[0, inf)"))
    arch_lr: float = field(default=0.01, metadata=within("[0, inf)"))
    arch_betas: tuple[float, float] = field(default=(0.9, 0.999), metadata=within("[0, 1)"))
    arch_weight_decay: float = field(default=5e-4, metadata=within("[0, inf)"))
    valid_fraction: float = field(default=0.2, metadata=within("(0, 1)"))
    temperature: float = field(default=5.0, metadata=within("(0, inf)"))
    temperature_factor: float = field(default=0.956, metadata=within("(0, 1]"))

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_sizes(self, self.space, width_relaxation(self.space).size)

    @property
    def searched_space(self) -> str:
        return self.space


@register(
    "fbnetv2",
    special="channels, blocks and resolution by soft Gumbel masks on one feature map, effective shapes in the loss",
    paper="Wan et al., CVPR 2020, arXiv 2004.05565",
    space="chain_s_widths, chain_xs_widths, resnet_widths",
    watched="methods.gradient.watched:FBNETV2",
)
class FBNetV2(AlternatingSearch):
    """Softmax, soft Gumbel draws, masks, the cost of effective shapes, the largest; see `FBNetV2Options`."""

    Options = FBNetV2Options
    options: FBNetV2Options

    def __init__(self, options: FBNetV2Options, context: SearchContext) -> None:
        super().__init__(options, context)
        self.split = self.split_of(options)
        self.sampler = SoftGumbel(torch.Generator().manual_seed(context.seed), options.temperature)

    @classmethod
    def split_of(cls, options: FBNetV2Options) -> SearchSplit:
        return SearchSplit(train=1.0 - options.valid_fraction, valid=options.valid_fraction, paired=True)

    def relaxed(self) -> Relaxation:
        return width_relaxation(self.options.space)

    def parts(self, relaxed: Relaxation) -> Composition:
        return Composition(parameterisation=Softmax(relaxed.topology), executor=relaxed.mixture)

    def on_epoch_start(self, epoch: int) -> bool:
        self.sampler.temperature = self.options.temperature * self.options.temperature_factor**epoch
        return super().on_epoch_start(epoch)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """A weight step and, once it is due, an architecture step, each with a draw of its own."""
        if valid_batch is None:
            raise MethodError(f"{self.name} needs a validation batch in every step (a paired split)")
        with without_gradients(self.alphas):
            loss, sums = loss_and_sums(partial(self.supernet, gates=self.drawn(self.noise())), train_batch)
            self.update_weights(torch.autograd.grad(loss, self.weights))
        return sums | (self._architecture_step(valid_batch) if self.epoch >= self.options.arch_start_epoch else {})

    def _architecture_step(self, batch: Batch) -> dict[str, Tensor]:
        noise = self.noise()
        with frozen_statistics(self.supernet), without_gradients(self.weights):
            loss, sums = loss_and_sums(partial(self.supernet, gates=self.drawn(noise)), batch, "valid_")
            of_task = torch.autograd.grad(loss, self.alphas)
        gradients = self.objective.gradients(of_task, loss.detach(), self.alphas, lambda: self.drawn(noise))
        self.update_architecture(gradients)
        return sums

    def noise(self) -> Tensor:
        """Of one draw."""
        return self.sampler.noise(self.parameterisation.logits(KIND))

    def drawn(self, noise: Tensor) -> dict[str, Gates]:
        """The draw that this noise gives of the present architecture parameters."""
        return {KIND: self.sampler.at(self.parameterisation.logits(KIND), noise)}

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Entropies, effective widths as shares of the largest ones, the temperature, and the cost."""
        gates = self.gates()
        pairs = zip(gates[KIND].options.detach().cpu().tolist(), self.relaxation.decisions, strict=True)
        widths = [sum(p * v for p, v in zip(row, values, strict=False)) / values[-1] for row, (_, values) in pairs]
        found = entropies(gates, self.relaxation.topology.absent) | decision_entropies(gates)
        own = {"widths/effective": widths, "paths/temperature": self.sampler.temperature}
        return {**found, **own, **self.objective.watched(gates)}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"generator": self.sampler.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.sampler.generator.set_state(state["generator"].cpu())
