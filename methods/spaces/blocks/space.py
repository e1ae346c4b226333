"""The space: which block each of three stages is made of, how often it is repeated, and one width for all of them.

The blocks are given: those of published networks, until `resting_on` gives the ones that a search found before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.genotypes import published
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, SizeMatch
from methods.spaces.blocks.layout import (
    NORMAL,
    REDUCE,
    STAGES,
    Block,
    block_of,
    channels_of,
    multiplied,
    stack,
    validate_blocks,
)
from methods.spaces.blocks.sized import draw_blocks_at_size
from methods.spaces.cell.conventions import DARTS
from methods.spaces.cell.counts import stack_counts
from methods.spaces.cell.network import CellStack
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.registry import register_space

USUAL_BLOCKS = ("DARTS_V2", "PC_DARTS_cifar")


@cache
def _usual_blocks() -> tuple[Block, ...]:
    return tuple(block_of(published(name)) for name in USUAL_BLOCKS)


@register_space(
    "block_network_xs", "the same with at most 2 repeats and three widths", repeats=(1, 2), widths=(0.5, 0.75, 1.0)
)
@register_space("block_network", "three stages: a block for each, 1 to 6 repeats of it, one width multiplier (EG-NAS)")
@dataclass(frozen=True)
class BlockNetworkSpace:
    """Attributes:
    repeats: of a stage's normal cell, that a code can say; others can be built, too.
    widths: that a code can say, ascending.
    blocks: what a stage can be made of, each once; () for those of DARTS_V2 and PC-DARTS.
    """

    name: str = "block_network"
    repeats: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    widths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    blocks: tuple[Block, ...] = field(default=(), hash=False)
    draws_at_size: ClassVar[bool] = True

    def resting_on(self, given: Sequence[Architecture]) -> BlockNetworkSpace:
        """The same on the blocks of other architectures, each once. Raises ArchitectureError as `block_of`."""
        blocks: list[Block] = []
        for block in map(block_of, given):
            blocks += [block] if block not in blocks else []
        return replace(self, blocks=tuple(blocks))

    @property
    def made_of(self) -> tuple[Block, ...]:
        """The blocks."""
        return self.blocks or _usual_blocks()

    def of_stage(self, stage: int) -> list[int]:
        """The blocks, counted from 0, that a stage can be made of: before the first one nothing is reduced, so that
        blocks with one normal cell are the same there."""
        normals = [block[NORMAL] for block in self.made_of]
        return [n for n, normal in enumerate(normals) if stage or normals.index(normal) == n]

    def decisions(self) -> tuple[Decision, ...]:
        """For each stage its block, where there are two or more, and its repeats; then the width."""
        found = []
        for stage in range(STAGES):
            blocks = self.of_stage(stage)
            found += [Decision(f"stage{stage + 1}.block", blocks)] if len(blocks) > 1 else []
            found.append(Decision(f"stage{stage + 1}.repeats", self.repeats, ordered=True))
        return (*found, Decision("width", self.widths, ordered=True))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        chosen = {d.name: d.options[option] for d, option in zip(self.decisions(), code, strict=True)}
        stages: list[dict[str, Any]] = []
        for stage in range(STAGES):
            name = f"stage{stage + 1}"
            block = self.made_of[chosen.get(f"{name}.block", 0)]
            kinds = (NORMAL, REDUCE) if stage else (NORMAL,)
            stages.append({**{kind: block[kind] for kind in kinds}, "repeats": chosen[f"{name}.repeats"]})
        return Architecture(self.name, {"stages": stages, "width": chosen["width"]})

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for other blocks, repeats or widths than the space's."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        said: dict[str, Any] = {"width": architecture.genotype["width"]}
        for stage, given in enumerate(architecture.genotype["stages"]):
            cells = {kind: cell for kind, cell in given.items() if kind != "repeats"}
            fitting = [n for n in self.of_stage(stage) if cells.items() <= dict(self.made_of[n]).items()]
            if not fitting:
                raise ArchitectureError(f"no code of {self.name} stands for it: stage {stage + 1} is of another block")
            said |= {f"stage{stage + 1}.block": fitting[0], f"stage{stage + 1}.repeats": given["repeats"]}
        for decision in self.decisions():
            if said[decision.name] not in decision.options:
                raise ArchitectureError(f"no code of {self.name} stands for {decision.name} {said[decision.name]}")
        return tuple(decision.options.index(said[decision.name]) for decision in self.decisions())

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over all codes."""
        return sample(self, generator)

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """Uniform over the networks of that size (`methods.spaces.blocks.sized`)."""

        def count(architecture: Architecture) -> NetworkCounts:
            return self.counts(architecture, num_classes, settings, image_size)

        return draw_blocks_at_size(self, generator, match, count)

    def reference(self) -> Architecture:
        """The first block in all stages, repeats and width in the middle."""
        middle = {"repeats": len(self.repeats) // 2, "width": len(self.widths) // 2}
        return self.decode(tuple(middle.get(d.name.rpartition(".")[2], 0) for d in self.decisions()))

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the genotype is malformed or not of this space."""
        validate_blocks(architecture.genotype)
        if architecture.widths:
            raise ArchitectureError("the layers of a network of blocks have no widths of their own")
        stack(architecture, channels_of(architecture, NetworkSettings()))

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """Initial channels before the width multiplies them, which the settings give where it states none."""
        return {"channels": channels_of(architecture, settings)}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        cells = stack(architecture, channels_of(architecture, settings))
        return CellStack(cells, _stem(architecture, settings), num_classes, settings, DARTS)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        cells = stack(architecture, channels_of(architecture, settings))
        return stack_counts(cells, _stem(architecture, settings), num_classes, settings, DARTS, image_size)


def _stem(architecture: Architecture, settings: NetworkSettings) -> list[int]:
    """Channels of the image and after every convolution of the stem, as in DARTS."""
    channels = multiplied(channels_of(architecture, settings), architecture.genotype["width"])
    if settings.stem == "cifar":
        return [settings.in_channels, 3 * channels]
    return [settings.in_channels, channels // 2, channels, channels]
