"""The supernet of DARTS' cell space with GDAS' hand-made reduction cell (FRC): only the normal cell is searched.

The cell is that of the published network `GDAS_FRC` (Dong and Yang, CVPR 2019): of either input, convolutions of 1x3
and 3x1 in eight groups make one node, and a max pool another. As released for the search (AutoDL-Projects,
search_model_gdas_frc_nasnet.py), its normalisations have no scale and shift and its pools are normalised. What is
derived is a network of `general_cell` with the conventions of `GDAS_FRC`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.genotypes import published
from methods.parts.executors.protocol import MakeExecutor
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.spaces.cell.frame import FramedCell, Place, candidate
from methods.spaces.cell.supernet import CellSupernet, SupernetCell, choices_of, operations_of
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import KNOWN
from methods.spaces.relaxation import Relaxation, Supernet
from methods.spaces.supernet_settings import SupernetSettings

PUBLISHED = published("GDAS_FRC").genotype
EDGES = tuple((operation, source, node) for operation, source, node in PUBLISHED["reduce"]["edges"])
CONCAT = tuple(PUBLISHED["reduce"]["concat"])
WIDTH = max(KNOWN[operation].multiple for operation, _, _ in EDGES)
"""Of how many channels a reduction cell has a multiple."""


class FixedCell(FramedCell):
    """The reduction cell; it takes no gates."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.operations = nn.ModuleList(
            candidate(operation, place.channels, place.stride(source)) for operation, source, _ in EDGES
        )

    def forward(self, before_last: Tensor, last: Tensor, gates: None) -> Tensor:
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        entering = zip(EDGES, self.operations, strict=True)
        nodes = [operation(states[source]) for (_, source, _), operation in entering]  # one edge a node, in their order
        return torch.cat(nodes, dim=1)


class NormalCellSupernet(CellSupernet):
    """`CellSupernet` with a kind less to decide."""

    def __init__(
        self, num_classes: int, settings: SupernetSettings, parameterisation: Parameterisation, executor: MakeExecutor
    ) -> None:
        Supernet.__init__(self, parameterisation)
        searched = partial(SupernetCell, executor=executor)
        self.add_frame(num_classes, settings, lambda place: FixedCell(place) if place.reduction else searched(place))

    @property
    def kinds(self) -> list[str]:
        return ["normal"]

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        return self.run(images, {**(self.gates() if gates is None else gates), "reduce": None})


def fixed_reduction(relaxed: Relaxation) -> Relaxation:
    """The relaxation of `darts_cell` with the reduction cell fixed."""

    def derive(gates: Mapping[str, Gates]) -> Architecture:
        found: Any = relaxed.derive(dict.fromkeys(("normal", "reduce"), gates["normal"]))
        fixed = {"reduce": PUBLISHED["reduce"], "conventions": PUBLISHED["conventions"]}
        return Architecture("general_cell", {"normal": found.genotype["normal"], **fixed})

    return replace(
        relaxed,
        topology=replace(TOPOLOGY, kinds=("normal",)),
        supernet=NormalCellSupernet,
        derive=derive,
        operations_of=lambda architecture: {"normal": operations_of(architecture)["normal"]},
        chosen=lambda architecture: choices_of(architecture, ["normal"]),
    )
