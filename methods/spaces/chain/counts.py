"""Parameters and MACs of chains in closed form: what is around the slots, and what each block adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from methods.parts.counts import NetworkCounts
from methods.spaces.chain.blocks import block_counts
from methods.spaces.chain.layout import Slot
from methods.spaces.chain.macro import Macro, Place
from methods.spaces.chain.notation import Block

FIRST = Block(3, 1)
"""The fixed block."""


@dataclass(frozen=True)
class Input:
    """Of a chain: classes, image channels, and the image (square, `image_size` pixels)."""

    num_classes: int = 10
    in_channels: int = 3
    image_size: int = 32


def network_counts(macro: Macro, slots: Sequence[Slot], given: Input) -> NetworkCounts:
    """Of the network that `ChainNetwork` builds of these slots, whose macro-architecture is at their scale."""
    params, macs = frame_counts(macro, given)
    for slot, (before, after) in zip(slots, sides(macro, (slot.place for slot in slots), given), strict=True):
        for block, inner in zip(slot.blocks, slot.inner, strict=True):
            counts = block_counts(block, slot.place.c_in, slot.place.c_out, inner, before, after)
            params, macs = params + counts.params, macs + counts.macs
    return NetworkCounts(params, params, macs)


def frame_counts(macro: Macro, given: Input) -> tuple[int, int]:
    """Parameters and MACs of stem, first block, head and classifier."""
    *_, (_, last) = sides(macro, macro.places(), given)
    side, stem = _halved(given.image_size, macro.stem_stride), 9 * given.in_channels * macro.stem
    first = block_counts(FIRST, macro.stem, macro.first, macro.stem, side, side)
    head, outputs = macro.stages[-1].width * macro.head, macro.head * given.num_classes
    params = stem + 2 * macro.stem + first.params + head + 2 * macro.head + outputs + given.num_classes
    return params, stem * side**2 + first.macs + head * last**2 + outputs


def sides(macro: Macro, places: Iterable[Place], given: Input) -> Iterator[tuple[int, int]]:
    """Pixels a side before and after each place."""
    side = _halved(given.image_size, macro.stem_stride)
    for place in places:
        before, side = side, _halved(side, place.stride)
        yield before, side


def _halved(side: int, stride: int) -> int:
    return (side + stride - 1) // stride
