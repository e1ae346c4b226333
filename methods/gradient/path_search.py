"""What searches by single paths share: in a step the supernet runs one drawn path, or several one after the other.

First a weight step on the training batch, then an architecture step on the validation batch, each with draws of its own
(Dong and Yang, CVPR 2019, algorithm 1 and released code). Operations off the path have no gradient: their weights,
momenta and decay included, stay as they are (in the released codes, under the torch of their time, they went on to
decay and to move by their momentum).

With several paths the gradients of the weights are added up and those of the architecture parameters averaged. Paths
are run in turn, so that memory is that of one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from methods.base import Batch, MethodError, SearchContext
from methods.domain import within
from methods.gradient.alternating import AlternatingSearch, Composition, InSpace
from methods.parts.bilevel import frozen_statistics, loss_and_sums, start_momenta, without_gradients
from methods.parts.costs.objective import MakeGates
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Softmax
from methods.parts.path_counts import PathCounts, decision_entropies
from methods.parts.schedule import linear
from methods.spaces.relaxation import Relaxation

Path = Mapping[str, Gates]
"""By kind of cell, the gates of one path."""
Sums = dict[str, Tensor]
Loss = Callable[[], tuple[Tensor, Sums]]


class Tempered(Protocol):
    """A sampler whose temperature the schedule sets."""

    temperature: float


@dataclass(frozen=True)
class PathOptions(InSpace):
    """Attributes:
    temperature, temperature_end: of the Gumbel-softmax, linear over the epochs.
    """

    temperature: float = field(default=10.0, metadata=within("(0, inf)"))
    temperature_end: float = field(default=0.1, metadata=within("(0, inf)"))


class SinglePathSearch(AlternatingSearch):
    """A subclass says how paths are drawn, and may say what a path is trained by."""

    options: InSpace
    label_smoothing = 0.0
    """Of the loss that weights are trained by."""

    def __init__(self, options: InSpace, context: SearchContext) -> None:
        super().__init__(options, context)
        self.generator = torch.Generator().manual_seed(context.seed)
        topology = self.relaxation.topology
        self.counts = PathCounts(dict.fromkeys(topology.kinds, topology.options))

    def to(self, device: torch.device) -> None:
        super().to(device)
        start_momenta(self.weight_optimiser)

    @abstractmethod
    def paths(self, logits: Logits) -> Sequence[Gates]:
        """The gates of each path of a step, of the cells of one kind."""

    def parts(self, relaxed: Relaxation) -> Composition:
        return Composition(
            parameterisation=Softmax(relaxed.topology),
            executor=relaxed.single_path(),
        )

    def draw(self) -> list[Path]:
        """The paths of a step, drawn from the present architecture parameters."""
        kinds = self.relaxation.topology.kinds
        drawn = [self.paths(self.parameterisation.logits(kind)) for kind in kinds]
        return [dict(zip(kinds, path, strict=True)) for path in zip(*drawn, strict=True)]

    def network(self, path: Path) -> Callable[[Tensor], Tensor]:
        """The supernet on a path; whatever else is drawn for its run is drawn here."""
        return partial(self.supernet, gates=path)

    def train_losses(self, batch: Batch, paths: Sequence[Path]) -> Sequence[Loss]:
        """For each path, what gives its loss on a training batch and its sums."""
        return [
            partial(loss_and_sums, self.network(path), batch, label_smoothing=self.label_smoothing) for path in paths
        ]

    def due(self) -> bool:
        """Whether the architecture learns in the present step."""
        return self.epoch >= self.options.arch_start_epoch

    def step(self, train_batch: Batch, valid_batch: Batch | None) -> Sums:
        """A weight step, then an architecture step; while the architecture is frozen there are no `valid_` values."""
        if valid_batch is None:
            raise MethodError(f"{self.name} needs a validation batch in every step (a paired split)")
        sums = self._weight_step(train_batch)
        if self.due():
            sums |= self._architecture_step(valid_batch)
        return sums

    def _weight_step(self, batch: Batch) -> Sums:
        with without_gradients(self.alphas):
            paths = self.draw()
            gradients, sums = added_up(self.train_losses(batch, paths), self.weights)
        self.update_weights(gradients)
        for path in paths:
            self.counts.add({kind: gates.chosen or () for kind, gates in path.items()})
        return averaged(sums)

    def _architecture_step(self, batch: Batch) -> Sums:
        with frozen_statistics(self.supernet), without_gradients(self.weights):
            paths = self.draw()
            losses = [partial(loss_and_sums, self.network(path), batch, "valid_") for path in paths]
            gradients, sums = added_up(losses, self.alphas)
        found = averaged(sums)
        of_task = [gradient / len(paths) for gradient in gradients if gradient is not None]
        self.learn(paths, self.whole(of_task, found, "valid_", self.weighed(paths)))
        return found

    def weighed(self, paths: Sequence[Path]) -> MakeGates | None:
        """What makes the gates whose expected cost counts in an architecture step; None for those of all options."""
        return None

    def learn(self, paths: Sequence[Path], gradients: Sequence[Tensor]) -> None:
        """Move the architecture parameters by their gradients over some paths."""
        self.update_architecture(gradients)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Adds each decision's entropy, and what was run (`methods.parts.path_counts`)."""
        return {
            **super().on_epoch_end(epoch, evaluate),
            **decision_entropies(self.gates()),
            **self.counts.end_epoch(),
        }

    def state_dict(self) -> dict[str, Any]:
        paths = {"generator": self.generator.get_state(), "counts": self.counts.state_dict()}
        return super().state_dict() | {"paths": paths}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.generator.set_state(state["paths"]["generator"].cpu())
        self.counts.load_state_dict(state["paths"]["counts"])


class PathSearch(SinglePathSearch):
    """One whose sampler has a temperature that falls."""

    options: PathOptions

    def __init__(self, options: PathOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.sampler = self.make_sampler(self.generator)

    @abstractmethod
    def make_sampler(self, generator: torch.Generator) -> Tempered:
        """A new one, by `self.options`."""

    def on_epoch_start(self, epoch: int) -> bool:
        o = self.options
        self.sampler.temperature = linear(epoch, o.epochs, o.temperature, o.temperature_end)
        return super().on_epoch_start(epoch)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Adds the temperature."""
        return {**super().on_epoch_end(epoch, evaluate), "paths/temperature": self.sampler.temperature}


def added_up(
    losses: Sequence[Loss], parameters: Sequence[torch.nn.Parameter]
) -> tuple[list[Tensor | None], list[Sums]]:
    """The sums of the losses' gradients (None where no loss reaches a parameter), and the sums of each.

    What one loss keeps is gone before the next one is computed; only the draws that they share are kept.
    """
    total: list[Tensor | None] = [None] * len(parameters)
    found = []
    for compute in losses:
        loss, sums = compute()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=len(losses) > 1)
        del loss
        total = [one if other is None else other if one is None else one + other
                 for one, other in zip(total, gradients, strict=True)]  # fmt: skip
        found.append(sums)
    return total, found


def averaged(sums: Sequence[Sums]) -> Sums:
    """Of one path as they are; of several their means."""
    if len(sums) == 1:
        return sums[0]
    return {key: torch.stack([each[key].float() for each in sums]).mean(0) for key in sums[0]}
