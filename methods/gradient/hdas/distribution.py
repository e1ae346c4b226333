"""H-DAS' search for the number of cells in each stage (Liu et al., AAAI 2021, and its released code).

As the search of stages, with stages of eight cells whose end is open: a stage's output is a mixture over the last five
cells at which it may end, weighted by the softmax of parameters of their own (beta), the depth is that expected of
them, and a penalty on the expected number of cells keeps stages from all becoming long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import MethodError
from methods.domain import within
from methods.gradient.bilevel_search import Parts
from methods.gradient.hdas.depth import mean_depth, released_depth_with_ends, stage_depths
from methods.gradient.hdas.stages import HsDAS, HsDASOptions
from methods.parts.gates import Gates, Logits
from methods.parts.parameterisation import Softmax
from methods.parts.topology import CellTopology
from methods.registry import register
from methods.spaces.relaxation import Relaxation
from methods.spaces.stages.graph import KINDS
from methods.spaces.stages.supernet import ENDS


@dataclass(frozen=True)
class DistributionOptions(HsDASOptions):
    """Attributes:
    positions: cells at which a stage may end, the last ones.
    length_weight: of the expected number of cells, in the step on the structure.
    """

    cells: int = 26
    positions: int = field(default=5, metadata=within("[2, 60]"))
    length_weight: float = field(default=0.4, metadata=within("[0, inf)"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions >= self.nodes:
            raise MethodError(
                f"positions={self.positions} leaves a stage of {self.nodes} cells with fewer than two; lower it or "
                "raise cells"
            )

    @property
    def space(self) -> str:
        """Of the answers, whose stages have any number of cells."""
        return "stage_graph"


class WithEnds(Softmax):
    """Alpha of the edges, and beta of each stage's end positions; both start as `1e-3 * N(0, 1)`."""

    def __init__(self, topology: CellTopology, positions: int) -> None:
        super().__init__(topology)
        self.beta = nn.ParameterDict({ENDS[kind]: nn.Parameter(1e-3 * torch.randn(1, positions)) for kind in KINDS})

    def logits(self, kind: str) -> Logits:
        if kind in self.beta:
            return Logits(self.beta[kind], torch.ones_like(self.beta[kind][:, 0]))
        return super().logits(kind)


@register(
    "hs_das_distribution",
    special="Hs-DAS that searches the number of cells of each stage, too, by mixing the cells at which it ends",
    paper="Liu et al., AAAI 2021, arXiv 2101.04028",
    space="stage_graph, stage_graph_xs, stage_graph_imagenet",
    watched="methods.gradient.hdas.watched:DISTRIBUTION",
)
class HsDASDistribution(HsDAS):
    """`HsDAS` with mixed ends and a length penalty; see `DistributionOptions`."""

    Options = DistributionOptions
    ends = True

    def parts(self, relaxed: Relaxation) -> Parts:
        made = WithEnds(self.topology, self.options.positions)
        return Parts(parameterisation=made, executor=relaxed.mixture, gradient=self.gradient())

    def end_gates(self, kind: str) -> Gates:
        """Of a stage."""
        return self.parameterisation.gates(ENDS[kind])

    def depth(self, kind: str) -> Tensor:
        ends = self.end_gates(kind).options[0]
        if self.options.as_released:
            return released_depth_with_ends(self.parameterisation.alpha[kind], self.topology, ends)  # type: ignore[index]
        return mean_depth(stage_depths(self.parameterisation.gates(kind), self.topology), ends)

    def expected_cells(self, kind: str) -> Tensor:
        """Of a stage."""
        ends = self.end_gates(kind).options[0]
        first = self.options.nodes - len(ends) + 1
        return (ends * torch.arange(first, first + len(ends), device=ends.device)).sum()

    def structural_loss(self) -> Tensor:
        cells = torch.stack([self.expected_cells(kind) for kind in KINDS]).sum()
        return super().structural_loss() + self.options.length_weight * cells

    def derived(self, gates: Mapping[str, Gates]) -> Any:
        return super().derived({**gates, **{ENDS[kind]: self.end_gates(kind) for kind in KINDS}})
