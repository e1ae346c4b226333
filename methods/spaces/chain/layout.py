"""A chain's architecture resolved: what stands at each place, with all its channels as they are built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from methods.architecture import Architecture
from methods.form import ArchitectureError
from methods.spaces.chain.macro import Macro, Place
from methods.spaces.chain.notation import Block, read_chain


@dataclass(frozen=True)
class Slot:
    """One place of a built chain; `inner` has the channels inside of each of its blocks."""

    place: Place
    blocks: tuple[Block, ...]
    inner: tuple[int, ...]


def width_name(slot: int, block: int) -> str:
    """The width of an architecture that gives the channels inside of a block."""
    return f"slots.{slot}.{block}.inner"


def scaled(architecture: Architecture, macro: Macro) -> Macro:
    """The macro-architecture at the architecture's scale."""
    return macro.scaled(int(architecture.scale.get("channels", macro.stem)))


def layout(architecture: Architecture, macro: Macro) -> list[Slot]:
    """The places of a chain in order.

    Raises:
        ArchitectureError: the chain is malformed, nothing stands where the shape changes, or a width is of no block.
    """
    stages = read_chain(architecture.genotype.get("chain"), len(macro.stages))
    places = scaled(architecture, macro).places(tuple(map(len, stages)))
    chosen = (blocks for stage in stages for blocks in stage)
    slots = [_slot(n, *pair, architecture) for n, pair in enumerate(zip(places, chosen, strict=True))]
    unknown = set(architecture.widths) - set(_widths(slots))
    if unknown:
        raise ArchitectureError(f"unknown width '{min(unknown)}': slots.<place>.<block>.inner of a block that expands")
    return slots


def _slot(number: int, place: Place, blocks: tuple[Block, ...], architecture: Architecture) -> Slot:
    if not blocks and not place.keeps_shape:
        raise ArchitectureError(
            f"chain, place {number + 1}: zero where {place.c_in} channels become {place.c_out}"
            f"{' and the image is halved' if place.stride == 2 else ''}; a block has to stand there"
        )
    inner = (
        architecture.widths.get(width_name(number, n), block.expansion * place.c_in) for n, block in enumerate(blocks)
    )
    return Slot(place, blocks, tuple(map(int, inner)))


def _widths(slots: list[Slot]) -> Iterator[str]:
    for number, slot in enumerate(slots):
        yield from (width_name(number, n) for n, block in enumerate(slot.blocks) if block.expansion > 1)
