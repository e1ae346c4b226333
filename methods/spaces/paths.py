"""One-shot weights: a supernet that holds the weights of every network of a space and runs one of them at a time.

Random search with weight sharing (Li and Talwalkar, UAI 2019, section 4) trains it with one uniformly drawn path a
step and scores a proposal by the weights it shares. As released for the DARTS space and for NAS-Bench-201, all
candidates of an edge have an equal chance, and their normalisations have no scale and shift.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.parts.recalibration import recalibrate
from methods.parts.topology import CellTopology
from methods.spaces.decisions import Code


class PathSupernet(nn.Module, ABC):
    """The shared weights of all networks of the space called `space`, made of a number of classes and their settings.

        supernet = path_supernet("nasbench201", num_classes, SupernetSettings())    # methods.spaces.supernets
        code = sample_code(get_space("nasbench201"), generator)                     # methods.spaces.decisions: uniform
        loss = cross_entropy(supernet(images, code), labels)                        # one step of the shared weights

        supernet.recalibrate(code, batches_of_images)                               # before a proposal is scored
        supernet.eval()
        logits = supernet(images, code)

    Which modules run depends on the code, a value on the host: a step cannot be recorded as a graph, and parameters off
    the path have no gradient (`None`, so that an optimiser leaves them alone: zero them with `set_to_none=True`).
    """

    space: ClassVar[str]
    branches_on_host: ClassVar[bool] = True

    @abstractmethod
    def forward(self, images: Tensor, code: Code) -> Tensor:
        """The logits (batch, num_classes) of the network that a code of the space stands for.

        Raises:
            ArchitectureError: it is no code of the space.
        """

    def recalibrate(self, code: Code, batches: Iterable[Tensor]) -> None:
        """Give the normalisations on a path the statistics of these batches of images, each batch weighing the same.

        Running statistics otherwise belong to all the paths that were trained. Weights and the mode stay as they are.
        """
        recalibrate(self, lambda images: self(images, code), batches)


class PathCell(nn.Module):
    """The inside of a cell: every candidate of every edge is a module, and a forward pass runs the chosen ones.

    Args:
        make: (operation, source state) -> its module.
    """

    def __init__(self, topology: CellTopology, make: Callable[[str, int], nn.Module]) -> None:
        super().__init__()
        self.topology = topology
        self.edges = nn.ModuleList(
            nn.ModuleList(make(operation, source) for operation in topology.operations) for source, _ in topology.edges
        )

    def forward(self, inputs: Sequence[Tensor], chosen: Sequence[int | None]) -> list[Tensor]:
        """The nodes, each the sum of what enters it.

        Args:
            chosen: for every edge the column of its operation, or None where it is not taken. Every node has one.
        """
        states = list(inputs)
        for node in self.topology.node_numbers:
            entering = []
            for row in self.topology.entering(node):
                option, source = chosen[row], self.topology.edges[row][0]
                if option is not None:
                    entering.append(self.edges[row][option](states[source]))  # type: ignore[index]
            states.append(reduce(torch.add, entering))
        return states[self.topology.inputs :]
