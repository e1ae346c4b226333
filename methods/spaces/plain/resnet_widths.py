"""ResNet-20 for CIFAR in which widths are chosen: of every stage, inside of every block, and the resolution.

`methods.spaces.plain.resnet` with projections where a stage begins, so that each stage has a stream of its own: 2 to 8
eighths of 16, 32 and 64 channels, and as many inside of each of its three blocks. An image of 32 pixels is seen at 16,
24 or 32. Any number of blocks can be built, and where the shape stays there may be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.costs.widths import Factor, Layers
from methods.parts.counts import Convolution, NetworkCounts, total_counts
from methods.parts.pixels import AtResolution, sampled_side
from methods.spaces.base import NetworkSettings
from methods.spaces.elastic import ElasticNetwork
from methods.spaces.plain.resnet import CHANNELS, STAGES, ResNet
from methods.spaces.registry import register_space
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import FULL, RESOLUTION, Grid, Stage, Widths, inside_name, width_name

BLOCKS = 3
"""In a stage: depth 20."""
STEPS, FEWEST = 8, 2
RESOLUTIONS = (16, 24, FULL)
OFFERED = tuple(tuple(CHANNELS * 2**s * step // STEPS for step in range(FEWEST, STEPS + 1)) for s in range(STAGES))
GRID = Grid(OFFERED, tuple((offered,) * BLOCKS for offered in OFFERED), RESOLUTIONS)


@register_space("resnet_widths", "ResNet-20 with projections: channels of every stage and block, and the resolution")
@dataclass(frozen=True)
class ResNetWidths(WidthSpace):
    """See above."""

    closing_norm = "bn2"

    @property
    def grid(self) -> Grid:
        return GRID

    def reference_widths(self) -> Widths:
        """ResNet-20."""
        return Widths(tuple(Stage(offered[-1], (offered[-1],) * BLOCKS) for offered in OFFERED))

    def group_names(self, widths: Widths) -> Mapping[str, str]:
        """Streams and insides."""
        found = {}
        for number, stage in enumerate(widths.stages):
            found[f"stages.{number}"] = width_name(number)
            found |= {f"stages.{number}.{block}.mid": inside_name(number, block) for block in range(len(stage.inside))}
        return found

    def block_path(self, widths: Widths, stage: int, block: int) -> str:
        return f"stages.{stage}.{block}"

    def restated(self, architecture: Architecture) -> Widths | None:
        """Of a ResNet with projections."""
        genotype, widths = architecture.genotype, architecture.widths
        if architecture.space != "resnet" or genotype.get("shortcut") != "projection":
            return None
        stages, blocks = [], range((genotype["depth"] - 2) // 6)
        for number in range(STAGES):
            full = int(architecture.scale.get("channels", CHANNELS)) * 2**number
            inside = tuple(int(widths.get(f"stages.{number}.{block}.mid", full)) for block in blocks)
            stages.append(Stage(int(widths.get(f"stages.{number}", full)), inside))
        return Widths(tuple(stages))

    def can_be_empty(self, stage: int, block: int) -> bool:
        return stage == 0 or block > 0

    def network(self, widths: Widths, num_classes: int, in_channels: int) -> nn.Module:
        streams, inside = ([stage.width for stage in widths.stages], [stage.inside for stage in widths.stages])
        network = WidthResNet(streams, inside, "projection", num_classes, in_channels)
        network.sampled = AtResolution(widths.resolution, FULL)
        return network

    def counts_of(self, widths: Widths, num_classes: int, in_channels: int, image_size: int) -> NetworkCounts:
        size, c_in = sampled_side(image_size, widths.resolution, FULL), widths.stages[0].width
        layers, norms = [Convolution(9 * in_channels * c_in, size, size)], c_in
        for number, stage in enumerate(widths.stages):
            size, c_out = (size if number == 0 else (size + 1) // 2), stage.width
            if number > 0:
                layers.append(Convolution(c_in * c_out, size, size))
                norms += c_out
            for mid in filter(None, stage.inside):
                layers += [Convolution(9 * c_in * mid, size, size), Convolution(9 * mid * c_out, size, size)]
                norms, c_in = norms + mid + c_out, c_out
        return total_counts(layers, norms, [(c_in, num_classes)])

    def layers(self, grid: Grid, num_classes: int, in_channels: int, image_size: int) -> Layers:
        found = Layers()
        sides = [sampled_side(image_size, resolution, FULL) for resolution in grid.resolutions]
        entering = Factor(grid.widths[0], width_name(0))
        found.convolution(9 * in_channels, _pixels(sides), entering)
        found.norm(1, entering)
        for number, blocks in enumerate(grid.inside):
            sides = sides if number == 0 else [(side + 1) // 2 for side in sides]
            leaving, pixels = Factor(grid.widths[number], width_name(number)), _pixels(sides)
            if number > 0:
                found.convolution(1, pixels, entering, leaving)
                found.norm(1, leaving)
            for block, values in enumerate(blocks):
                name = inside_name(number, block)
                inside, there = Factor(values, name), Factor(tuple(float(value > 0) for value in values), name)
                found.convolution(9, pixels, entering, inside)
                found.convolution(9, pixels, inside, leaving)
                found.norm(1, inside)
                found.norm(1, leaving, there)
                entering = leaving
        found.linear(1, num_classes, entering)
        return found

    def elastic(self, num_classes: int, settings: NetworkSettings, grid: Grid | None = None) -> ElasticNetwork:
        from methods.spaces.plain.elastic import ElasticResNet

        return ElasticResNet(self, grid or self.grid, num_classes, settings)


class WidthResNet(ResNet):
    """A ResNet that samples its images."""

    sampled: AtResolution

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.sampled(images))


def _pixels(sides: list[int]) -> Factor:
    return Factor(tuple(side**2 for side in sides), RESOLUTION)
