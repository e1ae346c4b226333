"""H-DAS at the level of stages (Hs-DAS; Liu et al., AAAI 2021, arXiv 2101.04028, and its released code).

The cells are given; searched is how those of a stage are wired. Softmax over a pool, another pool, a skip connection
and nothing on every edge from the last three states, first-order gradient as in DARTS; then, in every iteration, one
more step of Adam on the depth of the stages (`depth.py`), which keeps them from becoming wide and shallow. Derived are
the two strongest edges into each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.base import Batch, MethodError
from methods.domain import within
from methods.genotypes import published
from methods.gradient.bilevel_search import OrderOptions, Parts
from methods.gradient.hdas.as_released import HDAS
from methods.gradient.hdas.depth import mean_depth, released_depth, stage_depths
from methods.parts.gates import Gates
from methods.parts.parameterisation import Softmax
from methods.registry import register
from methods.spaces.relaxation import Relaxation
from methods.spaces.stages.graph import KINDS, STAGES, mean_paths
from methods.spaces.stages.space import USUAL_CELL, StageGraphSpace, cells_within
from methods.spaces.stages.supernet import stage_relaxation, total_of

SPACES = {
    total_of(nodes): name for nodes, name in ((6, "stage_graph"), (4, "stage_graph_imagenet"), (3, "stage_graph_xs"))
}


@dataclass(frozen=True)
class HsDASOptions(OrderOptions):
    """The released code's settings for CIFAR-10 are the defaults; for ImageNet it has 14 cells.

    Attributes:
        cells: of the supernet, with the two reductions; a third of the others in each stage.
        cell: a published architecture whose cells the stages are made of; "" for those of the row that is named with
            `of`, or without one for those of DARTS_V2.
        depth_weight: of the stages' depth in its step.
        as_released: the slips of the released code: raw parameters in the depth loss and where edges are compared, and
            the gradients of `methods.gradient.hdas.as_released`.
    """

    cells: int = 20
    weight_decay: float = 2.7e-3
    cell: str = ""
    depth_weight: float = field(default=1.0, metadata=within("[0, inf)"))
    as_released: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.cells - STAGES + 1) % STAGES or self.cells < total_of(2):
            raise MethodError(
                f"cells={self.cells} cannot be two reductions and three stages of equally many cells, two at least; "
                f"give {total_of(2)}, {total_of(3)}, {total_of(4)} and so on"
            )
        try:
            cells_within(published(self.cell or USUAL_CELL))
        except ArchitectureError as error:
            raise MethodError(f"cell is '{self.cell}': {error}") from None

    @property
    def space(self) -> str:
        """Of the answers."""
        return SPACES.get(self.cells, "stage_graph")

    @property
    def nodes(self) -> int:
        """Cells of a stage."""
        return (self.cells - STAGES + 1) // STAGES


@register(
    "hs_das",
    special="stages as graphs of given cells: pools, skips or nothing between them, and a loss that keeps them deep",
    paper="Liu et al., AAAI 2021, arXiv 2101.04028",
    space="stage_graph, stage_graph_xs, stage_graph_imagenet",
    watched="methods.gradient.hdas.watched:STAGES_OF_CELLS",
)
class HsDAS(HDAS):
    """Softmax and mixture over the edges between cells, first-order gradient, depth loss; see `HsDASOptions`."""

    Options = HsDASOptions
    takes_cost = False
    may_start_from = True
    ends = False

    def relaxed(self) -> Relaxation:
        """Raises MethodError where cells are given twice, ArchitectureError where what they are of has no such."""
        o, start = self.options, self.context.start
        if start is not None and o.cell:
            raise MethodError(f"the cells are those of the row named with 'of'; leave cell='{o.cell}' out")
        found = published(o.cell or USUAL_CELL) if start is None else start.architecture
        return stage_relaxation(StageGraphSpace(o.space, o.nodes).resting_on([found]), self.ends)

    def parts(self, relaxed: Relaxation) -> Parts:
        return Parts(parameterisation=Softmax(self.topology), executor=relaxed.mixture, gradient=self.gradient())

    @property
    def topology(self) -> Any:
        return self.relaxation.topology

    def _architecture_step(self, train_batch: Batch, valid_batch: Batch) -> dict[str, Tensor]:
        sums = super()._architecture_step(train_batch, valid_batch)
        with torch.enable_grad():
            self.update_architecture(torch.autograd.grad(self.structural_loss(), self.alphas))
        return sums

    def structural_loss(self) -> Tensor:
        """What the stages' structure costs: their depth, which is wanted."""
        return -self.options.depth_weight * torch.stack([self.depth(kind) for kind in KINDS]).sum()

    def depth(self, kind: str) -> Tensor:
        """Of one stage, by the present parameters."""
        if self.options.as_released:
            return released_depth(self.parameterisation.alpha[kind], self.topology)  # type: ignore[index]
        return mean_depth(stage_depths(self.parameterisation.gates(kind), self.topology))

    def derived(self, gates: Mapping[str, Gates]) -> Architecture:
        if self.options.as_released:
            gates = {kind: self.raw(kind) if kind in KINDS else each for kind, each in gates.items()}
        return super().derived(gates)

    def raw(self, kind: str) -> Gates:
        """The parameters themselves, by which the released code compares edges."""
        alpha: Tensor = self.parameterisation.alpha[kind]  # type: ignore[index]
        return Gates(alpha, torch.ones_like(alpha[:, 0]))

    def architecture(self) -> Architecture:
        return replace(self.derived(self.gates()), provenance=self.provenance())

    def on_epoch_end(self, epoch: int, evaluate: Callable[[], dict[str, float]] | None = None) -> dict[str, Any]:
        """Also the mean path to the cells of each stage that would be derived now, and its cells."""
        graphs = zip(KINDS, self.derived(self.gates()).genotype["stages"], strict=True)
        paths = {kind: mean_paths(graph) for kind, graph in graphs}
        told = {f"stages/path_{kind}": sum(each) / len(each) for kind, each in paths.items()}
        return (
            super().on_epoch_end(epoch, evaluate) | told | {f"stages/cells_{k}": len(each) for k, each in paths.items()}
        )
