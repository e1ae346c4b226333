"""The space of designs: genotype is one option of each of the twelve dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.graphgym.counts import params
from methods.spaces.graphgym.design import DIMENSIONS, ORDERED, REFERENCE, read_design
from methods.spaces.registry import register_space

if TYPE_CHECKING:
    import torch
    from torch import nn

SCALE = {"width": 256}
"""As released; a comparison gives every design the width at which it has its budget."""


@register_space(
    "graphgym", "GraphGym's designs of networks of graphs: 12 dimensions, 314,928 designs, of PyTorch Geometric"
)
@dataclass(frozen=True)
class GraphGymSpace:
    """Designs of networks that read graphs; `settings.in_channels` is the number of features of a node."""

    name: str
    reads_graphs: ClassVar[bool] = True

    def decisions(self) -> tuple[Decision, ...]:
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for an architecture with a scale of its own, widths or masks."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        design = read_design(architecture.genotype)
        return tuple(options.index(getattr(design, name)) for name, options in DIMENSIONS.items())

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return Architecture(
            self.name,
            {name: options[option] for (name, options), option in zip(DIMENSIONS.items(), code, strict=True)},
        )

    def reference(self) -> Architecture:
        return Architecture(self.name, asdict(REFERENCE))

    def sample(self, generator: torch.Generator) -> Architecture:
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError with what is wrong in the genotype, or for a scale that says something unknown."""
        refuse_unknown("scale", architecture.scale, SCALE)
        if architecture.widths:
            raise ArchitectureError(f"a network of {self.name} has the width of its scale; leave 'widths' empty")
        read_design(architecture.genotype)

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {**SCALE, **architecture.scale}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """The network that classifies whole graphs.

        Raises:
            ArchitectureError: PyTorch Geometric is not installed.
        """
        from methods.spaces.graphgym.network import GraphGymNetwork

        width = self.scale(architecture, settings)["width"]
        design = read_design(architecture.genotype)
        return GraphGymNetwork(design, width, settings.in_channels, num_classes, per_graph=True)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters of the network that `build` gives, in closed form; MACs depend on the graph and are not told."""
        width = self.scale(architecture, settings)["width"]
        number = params(read_design(architecture.genotype), width, settings.in_channels, num_classes)
        return NetworkCounts(number, number, 0)


@cache
def _decisions() -> tuple[Decision, ...]:
    return tuple(Decision(name, tuple(options), ordered=name in ORDERED) for name, options in DIMENSIONS.items())
