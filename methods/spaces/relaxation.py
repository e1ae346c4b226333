"""What a gradient search needs of a space: its continuous relaxation (Liu et al., ICLR 2019, section 2.2).

A space that has one gives the topology of its decisions, the executors that mix all candidates or run one of them, a
supernet that runs any of its executors and any gates, and the way back from gates to an architecture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.choices import Choices
from methods.parts.costs.widths import Layers
from methods.parts.executors.identity_path import beside_identity
from methods.parts.executors.partial_channels import partial_channels
from methods.parts.executors.recompute import Memory, recomputed
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.parts.topology import Topology
from methods.spaces.supernet_settings import SupernetSettings

MakeExecutor = Callable[[int, int, int], Any]
"""Three sizes -> the executor of a part of a supernet: `methods.parts.executors.protocol` for the states of cells,
`methods.parts.executors.slots` for the slots of chains. A method passes it on and knows neither."""


class Supernet(nn.Module, ABC):
    """A network that holds all candidates.

    Args:
        parameterisation: gives the gates of each kind of cell, once a forward pass.
    """

    def __init__(self, parameterisation: Parameterisation) -> None:
        super().__init__()
        self.parameterisation = parameterisation

    @property
    @abstractmethod
    def kinds(self) -> Sequence[str]:
        """Of its cells: those that `gates` has an entry for."""

    @abstractmethod
    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        """The logits (batch, num_classes) of images (batch, in_channels, h, w).

        Args:
            gates: by kind of cell, for whoever made them before; otherwise they are the parameterisation's.
        """

    def gates(self) -> dict[str, Gates]:
        """Of each kind of cell there is, from the parameterisation: for one forward pass."""
        return {kind: self.parameterisation.gates(kind) for kind in self.kinds}

    def architecture_parameters(self) -> list[nn.Parameter]:
        return list(self.parameterisation.parameters())

    def weights(self) -> list[nn.Parameter]:
        """Everything trainable that is not an architecture parameter."""
        return [p for name, p in self.named_parameters() if not name.startswith("parameterisation.")]


@dataclass(frozen=True)
class Relaxation:
    """Attributes:
    space: of the derived architectures.
    topology: of its decisions.
    candidates: operations that a derived architecture can have.
    size: the fields of `SupernetSettings` that its supernet reads, beside stem and image channels.
    mixture: the executor that computes all candidates.
    single_path: (change of a candidate's module, or nothing) -> the executor that runs the chosen candidate alone.
    supernet: (classes, settings, parameterisation, executor) -> a new one, from torch's global generator.
    derive: the architecture that the gates of each kind of cell stand for.
    operations_of: by kind of cell, the operations on the edges of an architecture.
    choices: what gates say of the architecture that `derive` gives, with a gradient; of one-hot gates its own choices.
    chosen: the choices of an architecture that `derive` can give.
    hard: one-hot gates of what `derive` gives, without leaving the device.
    partial_channels: (executor, K) -> the one that sends 1/K of the channels through it.
    recomputed: (executor, memory) -> the one that keeps its activations or computes them again.
    beside_identity: executor of single paths -> the one with a path around every decision.
    stems: of the images it has supernets for, as in `NetworkSettings`.
    layers: where widths are chosen, (classes, image channels, pixels a side) -> all layers as products of choices.
    decisions: where widths are chosen, the name of each decision and the number of each of its options.
    cells: fewest cells of a supernet that has all kinds of them, where `cells` is of its size.
    """

    space: str
    topology: Topology
    candidates: tuple[str, ...]
    size: tuple[str, ...]
    mixture: MakeExecutor
    single_path: Callable[..., MakeExecutor]
    supernet: Callable[[int, SupernetSettings, Parameterisation, MakeExecutor], Supernet]
    derive: Callable[[Mapping[str, Gates]], Architecture]
    operations_of: Callable[[Architecture], Mapping[str, Sequence[str]]]
    choices: Callable[[Mapping[str, Gates]], Choices]
    chosen: Callable[[Architecture], Choices]
    hard: Callable[[Mapping[str, Gates]], Mapping[str, Gates]]
    partial_channels: Callable[[MakeExecutor, int], MakeExecutor] = partial_channels
    recomputed: Callable[[MakeExecutor, Memory], MakeExecutor] = recomputed
    beside_identity: Callable[[MakeExecutor], MakeExecutor] = beside_identity
    stems: tuple[str, ...] = ("cifar",)
    layers: Callable[[int, int, int], Layers] | None = None
    decisions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    cells: int = 3
