"""What searches share that train weights and architecture parameters in turn: supernet, optimisers, schedule, state.

A method names its parts (`Composition`) and its step (Liu et al., ICLR 2019, algorithm 1). Options are those of the
released code of DARTS for CIFAR-10 unless a method says other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import GradientSearch, MethodError, SearchContext, SearchSplit, gradients_of, of_this_search
from methods.domain import check, within
from methods.parts.bilevel import set_gradients
from methods.parts.costs.objective import MakeGates, Unpriced
from methods.parts.gates import Gates
from methods.parts.monitor import chosen_values, entropies
from methods.parts.pace import Pace, factor, steps_of
from methods.parts.parameterisation import Parameterisation
from methods.parts.schedule import cosine
from methods.spaces.relaxation import MakeExecutor, Relaxation
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.supernets import refuse_other_sizes, relaxation


@dataclass(frozen=True)
class AlternatingOptions:
    """Attributes:
    channels, cells: size of the supernet, see `SupernetSettings`.
    arch_start_epoch: architecture parameters stay frozen before this epoch.
    warmup_epochs: epochs in which the weights' learning rate rises linearly.
    lr, lr_end: SGD's learning rate, by a cosine over the epochs.
    clip: largest gradient norm of the weights.
    arch_lr, arch_betas, arch_weight_decay: Adam's, for the architecture parameters.
    arch_clip: largest gradient norm of the architecture parameters; 0 for none.
    nesterov: SGD's momentum, in the weight step.
    arch_pace: "published" scales `arch_lr` so that its sum over the search's steps is that of the published search,
        which is the one of the default options (`methods.parts.pace`).
    """

    epochs: int = field(default=50, metadata=within("[1, 100000]"))
    batch_size: int = field(default=64, metadata=within("[2, 1000000]"))
    channels: int = field(default=16, metadata=within("[2, 4096]"))
    cells: int = field(default=8, metadata=within("[3, 200]"))
    arch_start_epoch: int = field(default=0, metadata=within("[0, inf)"))
    warmup_epochs: int = field(default=0, metadata=within("[0, inf)"))
    lr: float = field(default=0.025, metadata=within("[0, inf)"))
    lr_end: float = field(default=0.001, metadata=within("[0, inf)"))
    momentum: float = field(default=0.9, metadata=within("[0, 1)"))
    weight_decay: float = field(default=3e-4, metadata=within("[0, inf)"))
    clip: float = field(default=5.0, metadata=within("(0, inf)"))
    arch_lr: float = field(default=3e-4, metadata=within("[0, inf)"))
    arch_betas: tuple[float, float] = field(default=(0.5, 0.999), metadata=within("[0, 1)"))
    arch_weight_decay: float = field(default=1e-3, metadata=within("[0, inf)"))
    arch_clip: float = field(default=0.0, metadata=within("[0, inf)") | {"absent": 0.0})
    nesterov: bool = field(default=False, metadata={"absent": False})
    arch_pace: Pace = field(default="own", metadata={"absent": "own"})

    def __post_init__(self) -> None:
        check(self)
        if self.arch_start_epoch >= self.epochs:
            raise MethodError(
                f"arch_start_epoch={self.arch_start_epoch} leaves none of the {self.epochs} epochs to search in; "
                "lower it or raise epochs"
            )
        if self.nesterov and not self.momentum:
            raise MethodError("nesterov=true needs a momentum above zero")

    @property
    def searched_space(self) -> str:
        """The space whose relaxation is trained."""
        return "darts_cell"

    @property
    def arch_epochs(self) -> int:
        """Epochs with architecture steps."""
        return self.epochs - self.arch_start_epoch

    def arch_steps(self, steps: int) -> int:
        """Architecture steps of a search whose epochs have so many steps."""
        return steps * self.arch_epochs


@dataclass(frozen=True)
class InSpace(AlternatingOptions):
    """Attributes:
    space: a space that has a relaxation. The supernet of a chain has the chain's size: `channels` and `cells` say
        nothing of it.
    cells_per_stage: N, of nasbench201, whose supernet has that many cells in each of three stages; `cells` is of
        darts_cell.
    """

    space: str = field(default="darts_cell", metadata={"absent": "darts_cell"})
    cells_per_stage: int = field(default=5, metadata=within("[1, 60]") | {"absent": 5})

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_other_sizes(self, self.space)

    @property
    def searched_space(self) -> str:
        return self.space


@dataclass(frozen=True)
class Composition:
    """What a supernet is made of.

    Attributes:
        parameterisation: architecture parameters and, by its sampler, the gates.
        executor: how a state's edges are computed.
    """

    parameterisation: Parameterisation
    executor: MakeExecutor


class AlternatingSearch(GradientSearch):
    """Trains a relaxation by turns; a subclass says with which parts, and what a step is."""

    options: AlternatingOptions
    split = SearchSplit(train=0.5, valid=0.5, paired=True)
    augmentation = "crop-flip"
    takes_cost = True

    @abstractmethod
    def parts(self, relaxed: Relaxation) -> Composition:
        """New parts over a space's relaxation, by `self.options`."""

    def relaxed(self) -> Relaxation:
        """What is searched in, by `self.options`."""
        return relaxation(self.options.searched_space)

    def __init__(self, options: AlternatingOptions, context: SearchContext) -> None:
        self.options, self.context = options, context
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.relaxation = self.relaxed()
        self.objective: Unpriced = Unpriced(self.relaxation)
        if context.cost is not None:
            self.objective = context.cost.objective(self.relaxation)
        self.composition = parts = self.parts(self.relaxation)
        self.parameterisation = parts.parameterisation
        settings = SupernetSettings(
            options.channels, options.cells, context.stem, context.in_channels, getattr(options, "cells_per_stage", 5)
        )
        supernet = self.relaxation.supernet(context.num_classes, settings, parts.parameterisation, parts.executor)
        self.supernet = supernet
        self.weights, self.alphas = supernet.weights(), supernet.architecture_parameters()
        self.weight_optimiser = torch.optim.SGD(
            self.weights,
            torch.tensor(options.lr),  # a tensor, so that a captured step sees the schedule
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            nesterov=options.nesterov,
            fused=True,
        )
        self.architecture_optimiser = self.adam(self.alphas)
        self.epoch, self.arch_lr = 0, options.arch_lr

    def adam(self, parameters: Sequence[Tensor]) -> torch.optim.Adam:
        """A new optimiser of architecture parameters, by `self.options`."""
        o = self.options
        betas = o.arch_betas[0], o.arch_betas[1]
        return torch.optim.Adam(parameters, o.arch_lr, betas=betas, weight_decay=o.arch_weight_decay, fused=True)

    def to(self, device: torch.device) -> None:
        super().to(device)
        if device.type == "cuda":
            self.architecture_optimiser.param_groups[0]["capturable"] = True

    @classmethod
    def published_steps(cls) -> int:
        """Architecture steps of the published search: the default options, on CIFAR-10."""
        usual = cls.Options()
        return int(usual.arch_steps(steps_of(cls.split_of(usual).train, usual.batch_size)))

    def begin(self, steps: int) -> None:
        o = self.options
        self.arch_lr = o.arch_lr * factor(o.arch_pace, self.published_steps(), o.arch_steps(steps))
        self.architecture_optimiser.param_groups[0]["lr"] = self.arch_lr

    def on_epoch_start(self, epoch: int) -> bool:
        """Sets the learning rate; True in the epoch in which architecture steps begin."""
        o = self.options
        self.epoch = epoch
        group = self.weight_optimiser.param_groups[0]
        group["lr"] = group["lr"].to(
            self.weights[0].device
        )  # a loaded one is on the host, where a graph would freeze it
        group["lr"].fill_(self.lr(epoch))
        return epoch == o.arch_start_epoch > 0

    def enter_longest_step(self) -> None:
        """With an architecture step."""
        self.on_epoch_start(self.options.arch_start_epoch)

    def lr(self, epoch: int) -> float:
        """The weights' learning rate."""
        o = self.options
        return cosine(epoch, o.epochs, o.lr, o.lr_end, o.warmup_epochs)

    def whole(
        self,
        gradients: Sequence[Tensor],
        sums: Mapping[str, Tensor],
        prefix: str,
        weighed: MakeGates | None = None,
    ) -> Sequence[Tensor]:
        """The architecture's gradients of the whole objective.

        Args:
            gradients: of the task's loss.
            sums: of the same batch, their keys with this prefix.
            weighed: what makes the gates whose expected cost counts; None for those of all options.
        """
        loss = sums[f"{prefix}loss_sum"] / sums[f"{prefix}count"]
        return self.objective.gradients(gradients, loss, self.alphas, self.gates, weighed)

    def update_architecture(self, gradients: Sequence[Tensor]) -> None:
        """One step of Adam by the gradients of this process's share of a batch."""
        self.set_architecture_gradients(gradients)
        self.architecture_optimiser.step()

    def set_architecture_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Averaged over the processes, and clipped."""
        set_gradients(self.alphas, gradients)
        self.average(gradients_of(self.alphas))
        if self.options.arch_clip:
            torch.nn.utils.clip_grad_norm_(self.alphas, self.options.arch_clip)

    def update_weights(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of SGD by the gradients of this process's share of a batch; weights with None stay as they are."""
        set_gradients(self.weights, gradients)
        self.average(gradients_of(self.weights))
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(self.weights, self.options.clip)
        self.weight_optimiser.step()

    def gates(self) -> dict[str, Gates]:
        """Of each kind of cell."""
        return {kind: self.parameterisation.gates(kind) for kind in self.relaxation.topology.kinds}

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Skips, operations and entropy of what the gates would derive now (`methods.parts.monitor`), and its cost."""
        relaxed, gates = self.relaxation, self.gates()
        chosen = chosen_values(relaxed.operations_of(self.derived(gates)), relaxed.candidates)
        return chosen | entropies(gates, relaxed.topology.absent) | self.objective.watched(gates)

    def derived(self, gates: Mapping[str, Gates]) -> Architecture:
        """What gates stand for, whatever it costs."""
        return self.relaxation.derive(gates)

    def architecture(self) -> Architecture:
        found, told = self.objective.derive(self.gates())
        return replace(found, provenance=self.provenance() | told)

    def provenance(self) -> dict[str, Any]:
        paced = {"arch_lr": self.arch_lr} if self.options.arch_pace != "own" else {}
        told = {"method": self.name, "options": asdict(self.options), "seed": self.context.seed, "epoch": self.epoch}
        return told | paced

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "architecture_optimiser": self.architecture_optimiser.state_dict(),
            "epoch": self.epoch,
            **self.objective.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises MethodError when the state is of another supernet."""
        with of_this_search(self.name):
            self.supernet.load_state_dict(state["supernet"])
            self.weight_optimiser.load_state_dict(state["weight_optimiser"])
            self.architecture_optimiser.load_state_dict(state["architecture_optimiser"])
            self.epoch = state["epoch"]
            self.objective.load_state_dict(state)
