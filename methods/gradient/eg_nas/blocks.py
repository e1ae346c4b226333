"""EG-NAS at the level of blocks: several cells, each by a gradient that heeds complexity by another weight.

Zhang et al., IEEE TNNLS 2023, arXiv 2103.12529. Reconstructed from the abstract, for the text was not read. What is
ours: DARTS of first order as what the gradient belongs to, the enhanced gradient (`methods.parts.costs.balanced`), the
size of the network of 36 channels and 20 cells as the complexity, and a sweep over lambda: one search after the other
from the same weights and architecture parameters. Its family are the blocks, in the order of `lambdas`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.base import Batch, MethodError, SearchContext
from methods.domain import within
from methods.gradient.bilevel_search import BilevelOptions, BilevelSearch, Parts, architecture_gradient, mixed
from methods.parts.bilevel import frozen_statistics
from methods.parts.costs.balanced import Balanced
from methods.parts.costs.counts import Built, counted
from methods.parts.parameterisation import softmax
from methods.registry import register
from methods.spaces import NetworkSettings
from methods.spaces.relaxation import Relaxation


@dataclass(frozen=True)
class EGBlocksOptions(BilevelOptions):
    """Those of DARTS' released code are the defaults.

    Attributes:
        epochs: of the search of each block.
        lambdas: weights of the complexity's gradient, one block each; at 1 it is as long as the task's.
        on: the complexity.
    """

    lambdas: tuple[float, ...] = field(default=(0.0, 0.1, 0.3, 1.0), metadata=within("[0, inf)"))
    on: Literal["params", "macs"] = "params"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.lambdas) <= 100:
            raise MethodError(f"lambdas has {len(self.lambdas)} weights; name 1 to 100, one a block")


@register(
    "eg_nas_blocks",
    special="several blocks, each by a gradient that heeds complexity by another weight (EG-NAS; reconstructed)",
    paper="Zhang et al., IEEE TNNLS 2023, arXiv 2103.12529",
    space="darts_cell",
)
class EGBlocks(BilevelSearch):
    """Softmax, mixture, enhanced gradient, from the beginning for every lambda; see `EGBlocksOptions`.

    Attributes:
        sweep: which of the lambdas is at work.
        blocks: found so far.
        beginning: the supernet's state before the first step.
    """

    options: EGBlocksOptions
    Options = EGBlocksOptions
    takes_cost = False

    def __init__(self, options: EGBlocksOptions, context: SearchContext) -> None:
        super().__init__(options, context)
        self.epochs = options.epochs * len(options.lambdas)
        usual = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
        cost = counted(options.on, Built(context.num_classes, usual, context.image_size), self.relaxation)
        self.objective: Balanced = Balanced(self.relaxation, cost, options.lambdas[0])
        self.sweep = 0
        self.blocks: list[Architecture] = []
        self.beginning: Mapping[str, Tensor] = deepcopy(self.supernet.state_dict())

    def parts(self, relaxed: Relaxation) -> Parts:
        o = self.options
        return Parts(
            parameterisation=softmax(relaxed.topology, o.edge_normalisation),
            executor=mixed(relaxed, o),
            gradient=architecture_gradient(o),
        )

    def _architecture_step(self, train_batch: Batch, valid_batch: Batch) -> dict[str, Tensor]:
        """The lengths that are balanced are those of the whole batch."""
        with frozen_statistics(self.supernet):
            gradients, sums = self.architecture_gradient(train_batch, valid_batch, self.average)
        self.average(gradients)
        self.update_architecture(self.whole(gradients, sums, "valid_"))
        return sums

    def on_epoch_start(self, epoch: int) -> bool:
        """True, too, where a sweep begins: lambda is another one, and architecture steps may pause."""
        self.sweep, within_sweep = divmod(epoch, self.options.epochs)
        self.objective.weight = self.options.lambdas[self.sweep]
        changed = super().on_epoch_start(within_sweep)
        return changed or (self.sweep > 0 and within_sweep == 0)

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """At the end of a sweep its block is kept, and all but the last leave the supernet as it was in the beginning.

        That is done here, for an epoch is entered again where a search goes on inside of it.
        """
        told = super().on_epoch_end(epoch, evaluate)
        if self.epoch + 1 == self.options.epochs and len(self.blocks) == self.sweep:
            self.blocks.append(self._present())
            if self.sweep + 1 < len(self.options.lambdas):
                self._begin_again()
        return told

    def _present(self) -> Architecture:
        """What would be derived now."""
        told = {**self.provenance(), "lambda": self.options.lambdas[self.sweep]}
        return replace(self.derived(self.gates()), provenance=told)

    @torch.no_grad()
    def _begin_again(self) -> None:
        """In place, so that what was recorded of a step still holds; momenta of zero are those of the first step."""
        self.supernet.load_state_dict(self.beginning)
        for optimiser in (self.weight_optimiser, self.architecture_optimiser):
            for kept in optimiser.state.values():
                for value in kept.values():
                    if isinstance(value, Tensor):
                        value.zero_()

    def architecture(self) -> Architecture:
        """The block of the first lambda."""
        return self.blocks[0] if self.blocks else self._present()

    def family(self) -> list[Architecture]:
        """The blocks that were found, in the order of their lambdas."""
        return list(self.blocks)

    def state_dict(self) -> dict[str, Any]:
        blocks = [{"genotype": dict(each.genotype), "provenance": dict(each.provenance)} for each in self.blocks]
        return super().state_dict() | {"sweep": self.sweep, "blocks": blocks, "beginning": dict(self.beginning)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.sweep = state["sweep"]
        self.objective.weight = self.options.lambdas[self.sweep]
        self.blocks = [Architecture(self.relaxation.space, **each) for each in state["blocks"]]
        self.beginning = dict(state["beginning"])
