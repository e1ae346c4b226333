"""DLSR: super-resolution networks searched by the cell and by the block (Huang et al., arXiv 2105.03939).

A softmax over nine operations for each of three refinements, the same in all blocks, all of them computed; a softmax
over the earlier blocks as inputs of each later one. Mean absolute error and high-frequency error are lowered by turns:
the weights on a training batch, then the architecture on the same batch and a validation batch. Derived are the
strongest operations and the two strongest inputs of each block.

The architecture's loss has a third term, the expected share of parameters. The released code (DLSR-PyTorch, 3ea0d84)
computes it from detached numbers, so that it has no gradient and changes nothing: that is `as_released`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of, of_this_search
from methods.domain import check, within
from methods.parts.bilevel import loss_and_sums, set_gradients, without_gradients
from methods.parts.monitor import chosen_values, entropies
from methods.registry import register
from methods.spaces.superres.counts import operation_weights
from methods.spaces.superres.layout import CHANNELS, OPERATIONS
from methods.spaces.superres.mixture import Mixture
from methods.spaces.superres.supernet import JOINS, REFINED, DistillationSoftmax, DistillationSupernet, derive

PRICED_AT = 50
"""Channels at which the released code counts the candidates of its parameter term."""


@dataclass(frozen=True)
class DLSROptions:
    """The released settings for DF2K are the defaults: images 1 to 3000 for the weights, 3001 to 3450 for the rest.

    Attributes:
        channels: of the supernet, a multiple of 4.
        residual: it adds to the bicubic interpolation, as networks with the scale `residual: 1`.
        patch: side of a training patch, in pixels of high resolution.
        valid_fraction: of the training images, for the architecture.
        arch_start_epoch: architecture parameters stay frozen before this epoch, counted from 0.
        lr, milestones, gamma: Adam's for the weights; multiplied by gamma at these fractions of the epochs.
        arch_lr, arch_betas, arch_weight_decay: Adam's, for the architecture parameters.
        hfen_weight: of the high-frequency error, in both losses.
        parameter_weight: of the expected share of parameters in the architecture's loss.
        as_released: that term without a gradient.
    """

    epochs: int = field(default=1000, metadata=within("[1, 100000]"))
    batch_size: int = field(default=64, metadata=within("[1, 1000000]"))
    channels: int = field(default=CHANNELS, metadata=within("[4, 4096]"))
    residual: bool = False
    patch: int = field(default=64, metadata=within("[16, 10000]"))
    valid_fraction: float = field(default=450 / 3450, metadata=within("(0, 1)"))
    arch_start_epoch: int = field(default=21, metadata=within("[0, inf)"))
    lr: float = field(default=5e-4, metadata=within("(0, inf)"))
    milestones: tuple[float, ...] = field(default=(0.2, 0.4, 0.6), metadata=within("(0, 1)"))
    gamma: float = field(default=0.5, metadata=within("(0, 1]"))
    weight_decay: float = field(default=1e-8, metadata=within("[0, inf)"))
    arch_lr: float = field(default=3e-4, metadata=within("[0, inf)"))
    arch_betas: tuple[float, float] = field(default=(0.5, 0.999), metadata=within("[0, 1)"))
    arch_weight_decay: float = field(default=1e-8, metadata=within("[0, inf)"))
    hfen_weight: float = field(default=0.2, metadata=within("[0, inf)"))
    parameter_weight: float = field(default=1.0, metadata=within("[0, inf)"))
    as_released: bool = False

    def __post_init__(self) -> None:
        check(self)
        if self.channels % 4:
            raise MethodError(f"channels={self.channels}; the blocks of dlsr need a multiple of 4")
        if self.arch_start_epoch >= self.epochs:
            raise MethodError(
                f"arch_start_epoch={self.arch_start_epoch} leaves none of the {self.epochs} epochs to search in; "
                "lower it or raise epochs"
            )

    @property
    def space(self) -> str:
        """Of the answers."""
        return "dlsr"


def parameter_shares() -> Tensor:
    """(operations,): the parameters of each candidate as a share of all candidates' together."""
    sizes = torch.tensor([operation_weights(name, PRICED_AT) for name in OPERATIONS], dtype=torch.float32)
    return sizes / sizes.sum()


@register(
    "dlsr",
    special="super-resolution: operations of a block and inputs of the blocks by softmax, with a parameter term",
    paper="Huang et al., arXiv 2105.03939",
    space="dlsr",
    watched="methods.gradient.watched:DLSR",
)
class DLSR(GradientSearch):
    """Softmax, mixture and scaled inputs, the architecture on both batches; see `DLSROptions`."""

    Options = DLSROptions
    split = SearchSplit(3000 / 3450, 450 / 3450, paired=True)
    augmentation = "patch-64-flip-rotate"
    supernet: DistillationSupernet

    def __init__(self, options: DLSROptions, context: SearchContext) -> None:
        if context.task.name != "super_resolution":
            raise MethodError("dlsr searches networks of super-resolution; say `task: super_resolution` in the file")
        o, self.options, self.context = options, options, context
        self.epochs, self.batch_size, self.split = o.epochs, o.batch_size, self.split_of(o)
        self.augmentation = self.augmentation_of(o)
        self.parameterisation = DistillationSoftmax()
        self.supernet = DistillationSupernet(
            context.num_classes, o.channels, context.in_channels, o.residual, self.parameterisation, Mixture
        )
        self.weights, self.alphas = self.supernet.weights(), self.supernet.architecture_parameters()
        rate = torch.tensor(o.lr)  # a tensor, so that a recorded step sees the schedule
        self.weight_optimiser = torch.optim.Adam(self.weights, rate, weight_decay=o.weight_decay, fused=True)
        self.architecture_optimiser = torch.optim.Adam(
            self.alphas, o.arch_lr, (o.arch_betas[0], o.arch_betas[1]), weight_decay=o.arch_weight_decay, fused=True
        )
        self.shares, self.epoch = parameter_shares(), 0

    @classmethod
    def split_of(cls, options: DLSROptions) -> SearchSplit:
        return SearchSplit(1 - options.valid_fraction, options.valid_fraction, paired=True)

    @classmethod
    def augmentation_of(cls, options: DLSROptions) -> str:
        return f"patch-{options.patch}-flip-rotate"

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.shares = self.shares.to(device)
        for optimiser in (self.weight_optimiser, self.architecture_optimiser):
            optimiser.param_groups[0]["capturable"] = device.type == "cuda"

    def on_epoch_start(self, epoch: int) -> bool:
        """Sets the learning rate; True in the epoch in which architecture steps begin."""
        o, self.epoch = self.options, epoch
        group = self.weight_optimiser.param_groups[0]
        group["lr"] = group["lr"].to(self.weights[0].device)
        group["lr"].fill_(o.lr * o.gamma ** sum(epoch / o.epochs >= milestone for milestone in o.milestones))
        return epoch == o.arch_start_epoch > 0

    def enter_longest_step(self) -> None:
        """With an architecture step."""
        self.on_epoch_start(self.options.arch_start_epoch)

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> dict[str, Tensor]:
        """A weight step on the training batch, then an architecture step on both.

        While the architecture is frozen there are no `valid_` values.
        """
        if valid_batch is None:
            raise MethodError(f"{self.name} needs a validation batch in every step (a paired split)")
        loss, sums = self._loss(train_batch)
        self._update(self.weight_optimiser, self.weights, torch.autograd.grad(loss, self.weights))
        if self.epoch < self.options.arch_start_epoch:
            return sums
        with without_gradients(self.weights):
            again, _ = self._loss(train_batch)
            beside, valid_sums = self._loss(valid_batch, "valid_")
            whole = again + beside + self.options.parameter_weight * self.parameter_term()
            gradients = torch.autograd.grad(whole, self.alphas)
        self._update(self.architecture_optimiser, self.alphas, gradients)
        return sums | valid_sums

    def _loss(self, batch: Batch, prefix: str = "") -> tuple[Tensor, dict[str, Tensor]]:
        task, weight = self.context.task, self.options.hfen_weight
        return loss_and_sums(self.supernet, batch, prefix, task, hfen_weight=weight)

    def _update(self, optimiser: torch.optim.Optimizer, parameters: Any, gradients: Any) -> None:
        set_gradients(parameters, gradients)
        self.average(gradients_of(parameters))
        optimiser.step()

    def parameter_term(self) -> Tensor:
        """The expected share of parameters, summed over the refinements; 0-d."""
        probabilities = self.parameterisation.gates(REFINED).options
        return ((probabilities.detach() if self.options.as_released else probabilities) * self.shares).sum()

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Operations and entropy of what would be derived now, the weight of the inputs, and the parameter term."""
        with torch.no_grad():
            gates = self.supernet.gates()
            kept = [gates[name].options[0].topk(2).values.sum().item() for name in JOINS]
            term = self.parameter_term().item()
        chosen = chosen_values({REFINED: derive(gates).genotype["operations"]}, OPERATIONS)
        return chosen | entropies({REFINED: gates[REFINED]}) | {"joins/kept": kept, "cost/parameter_term": term}

    def architecture(self) -> Architecture:
        told = {"method": self.name, "options": asdict(self.options), "seed": self.context.seed, "epoch": self.epoch}
        return replace(derive(self.supernet.gates()), provenance=told)

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "architecture_optimiser": self.architecture_optimiser.state_dict(),
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another supernet."""
        with of_this_search(self.name):
            self.supernet.load_state_dict(state["supernet"])
            self.weight_optimiser.load_state_dict(state["weight_optimiser"])
            self.architecture_optimiser.load_state_dict(state["architecture_optimiser"])
            self.epoch = state["epoch"]
