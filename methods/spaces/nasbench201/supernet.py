"""The supernet of the space: the network of `methods.spaces.nasbench201.network` with all candidates on every edge.

As the searches that were released with the benchmark have it (Dong and Yang, ICLR 2020; AutoDL-Projects), all cells
share one set of architecture parameters, 6 edges x 5 operations. Candidates are normalised without scale and shift;
stem, reductions and the last normalisation have both. An architecture is derived by the largest alpha of each edge,
`none` among them, and every edge stays: a search may choose `none` (in DARTS' own space it cannot), and a cell that
nothing leaves is in the space and in the table.

Two things of the released code are left out, for they change nothing that a search computes. There, convolutions of
candidates have a bias (`bias = not affine`), which the normalisation after them takes away again. And whether their
normalisations keep running statistics was an option of the scripts: both steps of a search use those of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.choices import Choices, chosen, hard_one_each, one_each
from methods.parts.convolution import in_memory_format
from methods.parts.discretiser import best_operations
from methods.parts.executors.convolutions import ConvolutionMixture
from methods.parts.executors.protocol import MakeExecutor
from methods.parts.executors.single_path import single_path
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.nasbench201.cell import TOPOLOGY, read_cell, write_cell
from methods.spaces.nasbench201.network import Frame, candidate
from methods.spaces.relaxation import Relaxation, Supernet
from methods.spaces.supernet_settings import SupernetSettings

(KIND,) = TOPOLOGY.kinds


class SearchCell(nn.Module):
    """One cell with all its edges, executed by source state; `gates` holds those of the edges leaving each state."""

    def __init__(self, channels: int, executor: MakeExecutor) -> None:
        super().__init__()
        self.sources = nn.ModuleList(
            executor(channels, len(TOPOLOGY.leaving(source)), 1) for source in TOPOLOGY.sources
        )

    def forward(self, x: Tensor, gates: Sequence[Gates]) -> Tensor:
        state, arrived = x, None
        for source, leaving in zip(self.sources, gates, strict=True):
            executor: Any = source
            if arrived is not None:
                state, arrived = executor.next_node(arrived)
            arrived = executor(state, leaving, arrived)
        return executor.next_node(arrived)[0]


class Supernet201(Supernet):
    """See above; C and N are the settings' `channels` and `cells_per_stage`.

    Raises:
        ArchitectureError: a stem that the space has not.
    """

    def __init__(
        self, num_classes: int, settings: SupernetSettings, parameterisation: Parameterisation, executor: MakeExecutor
    ) -> None:
        super().__init__(parameterisation)
        refuse_imagenet_stem(RELAXATION.space, NetworkSettings(stem=settings.stem))
        make = partial(SearchCell, executor=executor)
        self.frame = Frame(make, num_classes, settings.channels, settings.cells_per_stage, settings.in_channels)
        for source in TOPOLOGY.sources:
            self.register_buffer(f"rows{source}", torch.tensor(TOPOLOGY.leaving(source)), persistent=False)

    kinds = TOPOLOGY.kinds

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        drawn = (self.gates() if gates is None else gates)[KIND]
        leaving = [
            drawn.rows(TOPOLOGY.leaving(source), self.get_buffer(f"rows{source}")) for source in TOPOLOGY.sources
        ]
        return self.frame(in_memory_format(images), leaving)


def derive(gates: Mapping[str, Gates]) -> Architecture:
    """The strongest operation of each edge, `none` like any other."""
    return Architecture("nasbench201", {KIND: write_cell(best_operations(gates[KIND], TOPOLOGY))})


def operations_of(architecture: Architecture) -> dict[str, Sequence[str]]:
    """The six operations of the cell."""
    return {KIND: read_cell(architecture.genotype[KIND])}


def choices_of(architecture: Architecture) -> Choices:
    return chosen(TOPOLOGY, {KIND: list(enumerate(operations_of(architecture)[KIND]))})


RELAXATION = Relaxation(
    space="nasbench201",
    topology=TOPOLOGY,
    candidates=TOPOLOGY.operations,
    size=("channels", "cells_per_stage"),
    mixture=partial(ConvolutionMixture, operations=TOPOLOGY.operations),
    single_path=partial(single_path, TOPOLOGY.operations, candidate),
    supernet=Supernet201,
    derive=derive,
    operations_of=operations_of,
    choices=one_each,
    chosen=choices_of,
    hard=hard_one_each,
)
RELAXATIONS = (RELAXATION,)
