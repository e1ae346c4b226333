"""Macro-architectures of chains: what stands around the blocks that are chosen, and how wide each stage is.

`chain_imagenet` is ProxylessNAS' mobile one (Cai et al., ICLR 2019, and its released search: widths, numbers of blocks,
strides, the first block and the head); normalisations here have torch's epsilon, 1e-5, where the release has 1e-3.
`chain_s` and `chain_xs` are ours, for images of 32 pixels; published searches of chains on CIFAR have other backbones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first has the stride, and takes the width of the stage before."""

    width: int
    blocks: int
    stride: int


@dataclass(frozen=True)
class Place:
    """Where a block stands: its stage, its channels and its stride.

    Attributes:
        joins: the input is added where the shape stays; else it is not, though widths that are chosen may agree.
    """

    stage: int
    c_in: int
    c_out: int
    stride: int
    joins: bool = True

    @property
    def keeps_shape(self) -> bool:
        """The input is added to what the block gives; the block can be left out."""
        return self.joins and self.stride == 1 and self.c_in == self.c_out


@dataclass(frozen=True)
class Macro:
    """Attributes:
    stem, stem_stride: of the 3x3 convolution that sees the image.
    first: channels of the fixed block behind it: depthwise 3x3 and 1x1, nothing expanded.
    head: channels of the last 1x1 convolution, before the average over all pixels and the classifier.
    kind: of images: "cifar" or "imagenet", as in `NetworkSettings.stem`.
    """

    stem: int
    stem_stride: int
    first: int
    stages: tuple[Stage, ...]
    head: int
    kind: str = "cifar"

    def scaled(self, channels: int) -> Macro:
        """With so many channels in the stem, and everything else as much wider or narrower, rounded half up."""

        def scale(width: int) -> int:
            return max(1, (2 * width * channels + self.stem) // (2 * self.stem))

        stages = tuple(replace(stage, width=scale(stage.width)) for stage in self.stages)
        return replace(self, stem=channels, first=scale(self.first), stages=stages, head=scale(self.head))

    def places(self, blocks: tuple[int, ...] = ()) -> Iterator[Place]:
        """In order, with so many blocks a stage; without a number with the macro's own."""
        c_in = self.first
        for index, stage in enumerate(self.stages):
            for block in range(blocks[index] if blocks else stage.blocks):
                yield Place(index, c_in, stage.width, stage.stride if block == 0 else 1)
                c_in = stage.width


MACROS = {
    "chain_s": Macro(16, 1, 16, (Stage(24, 3, 1), Stage(32, 3, 2), Stage(64, 3, 2), Stage(96, 2, 1)), 256),
    "chain_xs": Macro(8, 2, 8, (Stage(12, 1, 1), Stage(16, 2, 2), Stage(32, 2, 2), Stage(48, 1, 1)), 128),
    "chain_imagenet": Macro(
        32,
        2,
        16,
        (Stage(24, 4, 2), Stage(40, 4, 2), Stage(80, 4, 2), Stage(96, 4, 1), Stage(192, 4, 2), Stage(320, 1, 1)),
        1280,
        "imagenet",
    ),
}


DENSE = "dense_"
"""Before the name of a macro-architecture: the space in which blocks stand side by side."""


def macro_of(space: str) -> Macro | None:
    """Of a space of chains by its name; None for another space."""
    return MACROS.get(space.removeprefix(DENSE))
