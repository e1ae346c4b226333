"""A space of widths: networks with decisions on their channels, blocks and pixels (`methods.spaces.widths`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.spaces.base import NetworkSettings, SizeMatch, refuse_imagenet_stem
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.registry import get_space
from methods.spaces.widths import FULL, Grid, Widths, inside_name, overridden, read_widths

if TYPE_CHECKING:  # who reads a genotype needs no torch
    import torch
    from torch import nn

    from methods.parts.costs.widths import Layers
    from methods.parts.counts import NetworkCounts
    from methods.spaces.elastic import ElasticNetwork


@dataclass(frozen=True)
class WidthSpace(ABC):
    """What all spaces of widths share; a family says what its networks are."""

    name: str
    draws_at_size = True
    closing_norm: ClassVar[str] = ""
    """In a block, the normalisation of what it adds to its input."""

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """Its decisions."""

    @abstractmethod
    def reference_widths(self) -> Widths:
        """Of the network that others are measured against."""

    @abstractmethod
    def group_names(self, widths: Widths) -> Mapping[str, str]:
        """Names of the built network's channel groups -> the names of the choices whose channels they are."""

    @abstractmethod
    def block_path(self, widths: Widths, stage: int, block: int) -> str:
        """The module of a block in the built network."""

    def restated(self, architecture: Architecture) -> Widths | None:
        """Of a valid architecture of another space whose built network is one of this one, with the same names of
        weights; None of any other."""
        return None

    @abstractmethod
    def can_be_empty(self, stage: int, block: int) -> bool:
        """Whether the shape stays there, so that there may be no block."""

    @abstractmethod
    def network(self, widths: Widths, num_classes: int, in_channels: int) -> nn.Module:
        """A new one, as wide as that."""

    @abstractmethod
    def counts_of(self, widths: Widths, num_classes: int, in_channels: int, image_size: int) -> NetworkCounts:
        """Of that network, in closed form."""

    @abstractmethod
    def layers(self, grid: Grid, num_classes: int, in_channels: int, image_size: int) -> Layers:
        """Of all networks on a grid, as products of what is chosen."""

    @abstractmethod
    def elastic(self, num_classes: int, settings: NetworkSettings, grid: Grid | None = None) -> ElasticNetwork:
        """New weights for all networks on a grid, at first the space's own (`methods.spaces.elastic`)."""

    def decisions(self) -> tuple[Decision, ...]:
        """Stage by stage the width of its stream and the insides of its blocks; the resolution last."""
        return tuple(Decision(each.name, each.values, ordered=True) for each in self.grid.choices())

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for numbers that no decision offers."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        return tuple(self.grid.options(self.read(architecture)).values())

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        names = (decision.name for decision in self.decisions())
        return self.architecture(self.grid.picked(dict(zip(names, code, strict=True))))

    def architecture(self, widths: Widths) -> Architecture:
        """Of any widths, on the grid or not."""
        return Architecture(self.name, widths.genotype())

    def reference(self) -> Architecture:
        return self.architecture(self.reference_widths())

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over the codes."""
        return sample(self, generator)

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """See `methods.spaces.widths_sized`, and what it raises."""
        from methods.spaces.widths_sized import draw_at_size

        layers = self.layers(self.grid, num_classes, settings.in_channels, image_size)
        return draw_at_size(self, generator, match, layers)

    def read(self, architecture: Architecture) -> Widths:
        """What an architecture says. Raises ArchitectureError where it is malformed."""
        widths = read_widths(architecture, len(self.grid.widths))
        return overridden(widths, architecture.widths, self.group_names(widths))

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the genotype is malformed, or a block is missing where the shape changes."""
        refuse_unknown("scale", architecture.scale, ())
        for number, stage in enumerate(self.read(architecture).stages):
            for block, inside in enumerate(stage.inside):
                if not inside and not self.can_be_empty(number, block):
                    raise ArchitectureError(
                        f"{inside_name(number, block)} is 0, and a block has to stand there: the shape changes"
                    )

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """Nothing: the genotype says it all."""
        return {}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the genotype's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        return self.network(self.read(architecture), num_classes, settings.in_channels)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = FULL
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        return self.counts_of(self.read(architecture), num_classes, settings.in_channels, image_size)


def elastic_of(space: str, num_classes: int, settings: NetworkSettings, grid: Grid | None = None) -> ElasticNetwork:
    """New elastic weights, from torch's global generator.

    Args:
        grid: of which choices; the space's own if None.

    Raises:
        ArchitectureError: the space is none of widths, or has no networks with this stem.
    """
    found = get_space(space)
    if not isinstance(found, WidthSpace):
        raise ArchitectureError(f"'{space}' is no space of widths, as chain_s_widths and resnet_widths are")
    return found.elastic(num_classes, settings, grid)
