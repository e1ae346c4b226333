"""What the harness needs of a search space, and what an experiment decides of the networks that are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.decisions import DecisionSpace
from methods.tasks import CLASSIFICATION

if TYPE_CHECKING:  # who reads a genotype needs no torch
    import torch
    from torch import nn

    from methods.parts.counts import NetworkCounts


S = TypeVar("S")


@dataclass(frozen=True)
class NetworkSettings:
    """What an experiment chooses about a built network.

    Attributes:
        channels: initial channels C of a network of cells; cells after k reductions have C * 2^k per node.
        cells: number of cells of such a network; reductions stand at 1/3 and 2/3 of the depth.
        auxiliary: build the auxiliary head (used in training only), in spaces whose networks have one.
        stem: "cifar" (stride 1) or "imagenet" (three stride-2 convolutions).
        in_channels: image channels.
        scales: by the name of any space, the scale of its architectures that state none, in the space's own words.
    """

    channels: int = 36
    cells: int = 20
    auxiliary: bool = False
    stem: str = "cifar"
    in_channels: int = 3
    scales: Mapping[str, Mapping[str, int]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class SizeMatch:
    """The size that a randomly drawn architecture is to have: that of another one.

    Attributes:
        on: "params" or "macs" of the built network, without an auxiliary head.
        value: its number.
        tolerance: how much smaller it may be, as a share of that.
        masked: single weights that the other one's masks take away; the drawn one's take away as many.
        scale: initial channels and cells of the other one.
    """

    on: str
    value: float
    tolerance: float
    masked: int = 0
    scale: Mapping[str, int] = field(default_factory=dict, hash=False)


class Space(DecisionSpace, Protocol):
    """A search space: its name, its decisions (`methods.spaces.decisions`), its networks."""

    def validate(self, architecture: Architecture) -> None:
        """Raise ArchitectureError with the cause if the architecture is not of this space."""

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """How large the network is that `build` gives, in the words of an architecture's scale."""

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """The physically small network. `forward` gives logits, or (logits, auxiliary logits) in training."""

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives for a square image, in closed form."""

    def reference(self) -> Architecture:
        """A known architecture of usual size that states no scale: it stands in for one that is still to be found."""

    def sample(self, generator: torch.Generator) -> Architecture:
        """An architecture drawn uniformly from the space, where it has decisions."""


@runtime_checkable
class DrawsAtSize(Protocol):
    """A space that may be able to draw an architecture at a size; a class can stand for several spaces."""

    @property
    def draws_at_size(self) -> bool: ...

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture: ...


@runtime_checkable
class RestsOn(Protocol):
    """A space whose architectures have in them what others decide, as stages have cells."""

    def resting_on(self, given: Sequence[Architecture]) -> Any:
        """The same space on those architectures; one that rests on one alone takes the first.

        Raises:
            ArchitectureError: it cannot rest on one of them.
        """


def resting(space: S, given: Sequence[Architecture]) -> S:
    """A space on architectures, where there are any.

    Raises:
        ArchitectureError: the space rests on none, or not on these.
    """
    if not given:
        return space
    if not isinstance(space, RestsOn):
        raise ArchitectureError(
            f"what another row found is no part of {getattr(space, 'name', 'this space')}: leave 'of' out"
        )
    found: S = space.resting_on(given)
    return found


@runtime_checkable
class ReadsGraphs(Protocol):
    """A space whose networks read batches of graphs, of PyTorch Geometric, and not images."""

    @property
    def reads_graphs(self) -> bool: ...


@runtime_checkable
class ForTask(Protocol):
    """A space whose networks are no classifiers, with the name of their task (`methods.tasks`)."""

    @property
    def task(self) -> str: ...


def task_of_space(space: object) -> str:
    """What the networks of a space are for."""
    return space.task if isinstance(space, ForTask) else CLASSIFICATION.name


@runtime_checkable
class DropsPaths(Protocol):
    """A network with drop path, off until it is given a probability above zero."""

    def set_drop_path(self, probability: float) -> None: ...


def refuse_imagenet_stem(space: str, settings: NetworkSettings) -> None:
    """Raises ArchitectureError where a space has no networks with a stem for large images."""
    if settings.stem != "cifar":
        raise ArchitectureError(f"space '{space}' has only its CIFAR form, not a stem '{settings.stem}'")
