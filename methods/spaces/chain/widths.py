"""Chains in which widths are chosen: of every stage, inside of every block, and the resolution of the image.

Blocks have kernel 3. A stage has .5, .75, 1 or 1.25 of its macro-architecture's channels, and a block inside 1.5, 3,
4.5 or 6 times the channels that enter it there: of the macro-architecture's, whatever is chosen of the stage before, so
that choices are independent. Where the shape stays there may be no block. An image of 32 pixels is seen at 24, 28 or
32. Stem, fixed block and head have their macro-architecture's width. A place at which a stage begins never adds its
input, though chosen widths may agree there. All numbers are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.costs.widths import Factor, Layers
from methods.parts.counts import NetworkCounts
from methods.parts.pixels import AtResolution, sampled_side
from methods.spaces.base import NetworkSettings
from methods.spaces.chain.counts import Input, network_counts
from methods.spaces.chain.layout import Slot, layout, scaled
from methods.spaces.chain.layout import width_name as group_name
from methods.spaces.chain.macro import MACROS, Macro
from methods.spaces.chain.network import ChainNetwork
from methods.spaces.chain.notation import Block
from methods.spaces.elastic import ElasticNetwork
from methods.spaces.registry import register_space
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import FULL, RESOLUTION, Grid, Stage, Widths, inside_name, width_name

RATIOS = (0.5, 0.75, 1.0, 1.25)
EXPANSIONS = (1.5, 3.0, 4.5, 6.0)
RESOLUTIONS = (24, 28, FULL)
SUFFIX = "_widths"
BLOCK = Block(3, 6)
"""At every place; its expansion is stated in channels."""


@register_space("chain_s_widths", "chain_s with kernel 3: channels of every stage and block, and the resolution")
@register_space("chain_xs_widths", "chain_xs with kernel 3: channels of every stage and block, and the resolution")
@dataclass(frozen=True)
class ChainWidths(WidthSpace):
    """See above."""

    closing_norm = "norm3"

    @property
    def macro(self) -> Macro:
        return MACROS[self.name.removesuffix(SUFFIX)]

    @property
    def grid(self) -> Grid:
        return _grid(self.macro)

    def reference_widths(self) -> Widths:
        """MobileNetV2's block everywhere: expansion 6, the macro-architecture's stages."""
        blocks = iter(self.macro.places())
        stages = (
            Stage(stage.width, tuple(6 * next(blocks).c_in for _ in range(stage.blocks))) for stage in self.macro.stages
        )
        return Widths(tuple(stages))

    def group_names(self, widths: Widths) -> Mapping[str, str]:
        """The insides of blocks; stages stay."""
        places = [(number, block) for number, stage in enumerate(widths.stages) for block in range(len(stage.inside))]
        return {group_name(slot, 0): inside_name(*place) for slot, place in enumerate(places)}

    def block_path(self, widths: Widths, stage: int, block: int) -> str:
        return f"slots.{sum(len(each.inside) for each in widths.stages[:stage]) + block}"

    def restated(self, architecture: Architecture) -> Widths | None:
        """Of a chain with this macro-architecture's stem and head, and kernel 3 everywhere."""
        macro = self.macro
        if architecture.space != self.name.removesuffix(SUFFIX) or scaled(architecture, macro) != macro:
            return None
        slots = layout(architecture, macro)
        if any(block != Block(3, block.expansion) or block.expansion == 1 for slot in slots for block in slot.blocks):
            return None
        stages = (
            Stage(stage.width, tuple(sum(slot.inner) for slot in slots if slot.place.stage == number))
            for number, stage in enumerate(macro.stages)
        )
        return Widths(tuple(stages)) if all(len(slot.blocks) < 2 for slot in slots) else None

    def can_be_empty(self, stage: int, block: int) -> bool:
        return block > 0

    def network(self, widths: Widths, num_classes: int, in_channels: int) -> nn.Module:
        macro, slots = slots_of(widths, self.macro)
        network = WidthChain(macro, slots, num_classes, in_channels)
        network.scale = {}
        network.sampled = AtResolution(widths.resolution, FULL)
        return network

    def counts_of(self, widths: Widths, num_classes: int, in_channels: int, image_size: int) -> NetworkCounts:
        macro, slots = slots_of(widths, self.macro)
        return network_counts(macro, slots, Input(num_classes, in_channels, _sampled(image_size, widths.resolution)))

    def layers(self, grid: Grid, num_classes: int, in_channels: int, image_size: int) -> Layers:
        return _layers(self.macro, grid, Input(num_classes, in_channels, image_size))

    def elastic(self, num_classes: int, settings: NetworkSettings, grid: Grid | None = None) -> ElasticNetwork:
        from methods.spaces.chain.elastic import ElasticChain

        return ElasticChain(self, grid or self.grid, num_classes, settings)


class WidthChain(ChainNetwork):
    """A chain that samples its images."""

    sampled: AtResolution

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.sampled(images))


def slots_of(widths: Widths, macro: Macro) -> tuple[Macro, list[Slot]]:
    """The macro-architecture and the places of a chain of such widths."""
    stages = tuple(
        replace(each, width=found.width, blocks=len(found.inside))
        for each, found in zip(macro.stages, widths.stages, strict=True)
    )
    sized = replace(macro, stages=stages)
    insides = [(block, inside) for stage in widths.stages for block, inside in enumerate(stage.inside)]
    slots = []
    for place, (block, inside) in zip(sized.places(), insides, strict=True):
        blocks, inner = ((BLOCK,), (inside,)) if inside else ((), ())
        slots.append(Slot(replace(place, joins=block > 0), blocks, inner))
    return sized, slots


def _sampled(side: int, resolution: int) -> int:
    return sampled_side(side, resolution, FULL)


@cache
def _grid(macro: Macro) -> Grid:
    widths = tuple(tuple(_times(ratio, stage.width) for ratio in RATIOS) for stage in macro.stages)
    places = list(macro.places())
    inside = tuple(
        tuple(
            (*(() if block == 0 else (0,)), *(_times(expansion, place.c_in) for expansion in EXPANSIONS))
            for block, place in enumerate(place for place in places if place.stage == number)
        )
        for number in range(len(macro.stages))
    )
    return Grid(widths, inside, RESOLUTIONS)


def _times(ratio: float, channels: int) -> int:
    """Rounded half up."""
    return int(ratio * channels + 0.5)


def _layers(macro: Macro, grid: Grid, given: Input) -> Layers:
    """Every network of the grid; see `methods.spaces.chain.counts` for one of them."""
    found, sides = Layers(), [_halved(_sampled(given.image_size, r), macro.stem_stride) for r in grid.resolutions]
    found.convolution(9 * given.in_channels * macro.stem, _pixels(sides))
    found.norm(macro.stem)
    found.convolution(9 * macro.stem, _pixels(sides))
    found.norm(macro.stem)
    found.convolution(macro.stem * macro.first, _pixels(sides))
    found.norm(macro.first)
    entering = Factor((macro.first,))
    for number, (stage, blocks) in enumerate(zip(macro.stages, grid.inside, strict=True)):
        leaving = Factor(grid.widths[number], width_name(number))
        for block, values in enumerate(blocks):
            name = inside_name(number, block)
            inside, there = Factor(values, name), Factor(tuple(float(value > 0) for value in values), name)
            after = [_halved(side, stage.stride if block == 0 else 1) for side in sides]
            found.convolution(1, _pixels(sides), entering, inside)
            found.convolution(9, _pixels(after), inside)
            found.convolution(1, _pixels(after), inside, leaving)
            found.norm(2, inside)
            found.norm(1, leaving, there)
            entering, sides = leaving, after
    found.convolution(macro.head, _pixels(sides), entering)
    found.norm(macro.head)
    found.linear(macro.head, given.num_classes)
    return found


def _pixels(sides: Sequence[int]) -> Factor:
    return Factor(tuple(side**2 for side in sides), RESOLUTION)


def _halved(side: int, stride: int) -> int:
    return (side + stride - 1) // stride
