"""The space: an operation for each refinement of a block, the same in all blocks, and two inputs for blocks 3 to 6.

9^3 operations and 1 * 3 * 6 * 10 pairs of earlier blocks: 131,220 networks. Outputs are the values that a network gives
for each pixel it reads: 12 for colour images twice as large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import nn

from methods.architecture import Architecture
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, SizeMatch, refuse_imagenet_stem
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.registry import register_space
from methods.spaces.superres.counts import network_counts
from methods.spaces.superres.layout import (
    CHANNELS,
    CHOOSING,
    OPERATIONS,
    REFINEMENTS,
    check,
    genotype_of,
    inputs_of,
    pairs,
)
from methods.spaces.superres.network import DistillationNetwork
from methods.spaces.superres.sized import draw_at_size


@register_space(
    "dlsr", "super-resolution: one of 9 operations for each of 3 refinements, and which two blocks are read by others"
)
@dataclass(frozen=True)
class DistillationSpace:
    """Networks of the distillation backbone."""

    name: str = "dlsr"
    task: ClassVar[str] = "super_resolution"
    draws_at_size: ClassVar[bool] = True

    def decisions(self) -> tuple[Decision, ...]:
        """The operation of each refinement, then the inputs of blocks 4, 5 and 6; block 3 reads both before it."""
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for an architecture with a scale of its own, or masks."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        chosen = [*architecture.genotype["operations"], *inputs_of(architecture.genotype)[1:]]
        return tuple(each.options.index(option) for each, option in zip(self.decisions(), chosen, strict=True))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        chosen = [decision.options[option] for decision, option in zip(self.decisions(), code, strict=True)]
        operations, inputs = chosen[:REFINEMENTS], chosen[REFINEMENTS:]
        return Architecture(self.name, genotype_of(operations, [*pairs(CHOOSING[0]), *inputs]))

    def reference(self) -> Architecture:
        """3x3 convolutions, as RFDN has them, each block reading the two before it."""
        return Architecture(self.name, genotype_of(["conv_3x3"] * REFINEMENTS, [(n - 2, n - 1) for n in CHOOSING]))

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over all networks."""
        return sample(self, generator)

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """See `methods.spaces.superres.sized`, and what it raises."""
        return draw_at_size(
            self.name, generator, match, lambda found: self.counts(found, num_classes, settings, image_size)
        )

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError with what is wrong in the genotype or the scale."""
        check(architecture)

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """Channels, the published number where it states none; `residual: 1` for a network with a residual."""
        return {"channels": CHANNELS, **architecture.scale}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts; `num_classes` are the outputs for each pixel.

        Raises:
            ArchitectureError: these are no square of pixels.
        """
        refuse_imagenet_stem(self.name, settings)
        genotype, scale = architecture.genotype, self.scale(architecture, settings)
        return DistillationNetwork(
            genotype["operations"],
            inputs_of(genotype),
            scale["channels"],
            settings.in_channels,
            num_classes,
            "residual" in scale,
        )

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        channels = self.scale(architecture, settings)["channels"]
        operations = architecture.genotype["operations"]
        return network_counts(operations, channels, settings.in_channels, num_classes, image_size, image_size)


@cache
def _decisions() -> tuple[Decision, ...]:
    operations = tuple(Decision(f"refinement{number + 1}", OPERATIONS) for number in range(REFINEMENTS))
    return (*operations, *(Decision(f"block{number}", pairs(number)) for number in CHOOSING[1:]))
