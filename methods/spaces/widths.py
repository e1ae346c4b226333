"""What is decided in a space of widths: channels of each part of a network, its blocks, and the pixels it sees.

Genotype, in every such space:

    {"stages": [{"width": 24, "inside": [72, 144, 0]}, ...], "resolution": 28}

`width` has the channels of a stage's residual stream, one number for all layers that are tied by its additions;
`inside` the channels inside of each of its blocks, 0 where there is no block (which only can be where the shape stays).
`resolution` is in pixels of an image of 32; images of other sizes are sampled in proportion (`methods.parts.pixels`).
Any numbers can be built; those on the space's `Grid` are its decisions. `widths` of an architecture, by the names of
the network's channel groups, override its genotype: what pruning leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import MOST_CHANNELS, refuse_unknown

FULL = 32
"""Pixels of a resolution at which an image is taken as it is."""
RESOLUTION = "resolution"
MOST_BLOCKS = 40
"""In a stage."""
Count = Literal["macs", "params"]


def width_name(stage: int) -> str:
    """The decision on a stage's stream."""
    return f"stages.{stage}.width"


def inside_name(stage: int, block: int) -> str:
    """The decision on the channels inside of a block."""
    return f"stages.{stage}.{block}.inside"


@dataclass(frozen=True)
class Choice:
    """An ordinal choice.

    Attributes:
        name: `width_name`, `inside_name` or "resolution".
        values: what each option means, ascending: channels (0: no block) or pixels.
    """

    name: str
    values: tuple[int, ...]

    @property
    def largest(self) -> int:
        """Its option."""
        return len(self.values) - 1

    def nearest(self, ratio: float) -> int:
        """The option whose value is nearest to `ratio` of the largest, ties to the smaller; never that of no block."""
        wanted = ratio * self.values[-1]
        return min((o for o, value in enumerate(self.values) if value), key=lambda o: abs(self.values[o] - wanted))


@dataclass(frozen=True)
class Stage:
    """Channels of a residual stream, and inside of each block on it."""

    width: int
    inside: tuple[int, ...]


@dataclass(frozen=True)
class Widths:
    """What is decided of one network."""

    stages: tuple[Stage, ...]
    resolution: int = FULL

    def genotype(self) -> dict[str, Any]:
        stages = [{"width": stage.width, "inside": list(stage.inside)} for stage in self.stages]
        return {"stages": stages, RESOLUTION: self.resolution}

    def values(self) -> dict[str, int]:
        """By the names of choices."""
        found = {}
        for number, stage in enumerate(self.stages):
            found[width_name(number)] = stage.width
            found |= {inside_name(number, block): inside for block, inside in enumerate(stage.inside)}
        return found | {RESOLUTION: self.resolution}


@dataclass(frozen=True)
class Grid:
    """What is chosen among; every tuple of numbers ascends.

    Attributes:
        widths: by stage, the channels of its stream.
        inside: by stage and block, the channels inside; 0 first where there may be no block.
        resolutions: pixels of 32.
    """

    widths: tuple[tuple[int, ...], ...]
    inside: tuple[tuple[tuple[int, ...], ...], ...]
    resolutions: tuple[int, ...] = (FULL,)

    def choices(self) -> tuple[Choice, ...]:
        """Stage by stage its width and its blocks'; the resolution last."""
        found: list[Choice] = []
        for stage, (widths, blocks) in enumerate(zip(self.widths, self.inside, strict=True)):
            found.append(Choice(width_name(stage), widths))
            found += (Choice(inside_name(stage, block), inside) for block, inside in enumerate(blocks))
        return (*found, Choice(RESOLUTION, self.resolutions))

    def picked(self, options: Mapping[str, int]) -> Widths:
        """The widths of an option of each choice; of a choice not named, the largest."""
        value = {each.name: each.values[options.get(each.name, each.largest)] for each in self.choices()}
        stages = (
            Stage(value[width_name(stage)], tuple(value[inside_name(stage, block)] for block in range(len(blocks))))
            for stage, blocks in enumerate(self.inside)
        )
        return Widths(tuple(stages), value[RESOLUTION])

    def options(self, widths: Widths) -> dict[str, int]:
        """The inverse of `picked`. Raises ArchitectureError for widths that are not on the grid."""
        values, choices = widths.values(), self.choices()
        if values.keys() != {each.name for each in choices}:
            raise ArchitectureError(
                f"no code stands for stages of {', '.join(str(len(stage.inside)) for stage in widths.stages)} blocks; "
                f"they have {', '.join(str(len(blocks)) for blocks in self.inside)}"
            )
        for each in choices:
            if values[each.name] not in each.values:
                offered = ", ".join(map(str, each.values))
                raise ArchitectureError(f"no code stands for {each.name} = {values[each.name]}; one of {offered} is")
        return {each.name: each.values.index(values[each.name]) for each in choices}


def read_widths(architecture: Architecture, stages: int) -> Widths:
    """The genotype alone.

    Raises:
        ArchitectureError: a key or a number that is none, or another number of stages; the message names its place.
    """
    genotype = architecture.genotype
    refuse_unknown(f"key in a genotype of {architecture.space}:", genotype, {"stages", RESOLUTION})
    found = genotype.get("stages")
    if not isinstance(found, list) or len(found) != stages:
        raise ArchitectureError(
            f"a genotype of {architecture.space} needs 'stages', a list of {stages} with 'width' and 'inside'"
        )
    resolution = _number(genotype.get(RESOLUTION, FULL), RESOLUTION, 1, FULL)
    return Widths(tuple(_stage(stage, number) for number, stage in enumerate(found)), resolution)


def _stage(stage: Any, number: int) -> Stage:
    if not isinstance(stage, Mapping) or not isinstance(stage.get("inside"), list):
        raise ArchitectureError(f"stages.{number} is {shown(stage)}; it needs 'width' and 'inside', a list of channels")
    refuse_unknown(f"key in stages.{number}:", stage, {"width", "inside"})
    if not 1 <= len(stage["inside"]) <= MOST_BLOCKS:
        raise ArchitectureError(f"stages.{number} has {len(stage['inside'])} blocks; a stage has 1 to {MOST_BLOCKS}")
    inside = (
        _number(value, inside_name(number, block), 0, 16 * MOST_CHANNELS) for block, value in enumerate(stage["inside"])
    )
    return Stage(_number(stage.get("width"), width_name(number), 1, MOST_CHANNELS), tuple(inside))


def _number(value: Any, name: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ArchitectureError(f"{name} is {shown(value)}; it must be a whole number in [{least}, {most}]")
    return value


def overridden(widths: Widths, groups: Mapping[str, int], names: Mapping[str, str]) -> Widths:
    """With the channels that pruning left: by the names of channel groups, each that of a choice by `names`."""
    refuse_unknown("widths", groups, names)
    values = widths.values()
    for name, channels in groups.items():
        values[names[name]] = _number(channels, name, 1, 16 * MOST_CHANNELS)
    stages = (
        replace(
            stage,
            width=values[width_name(number)],
            inside=tuple(values[inside_name(number, block)] for block in range(len(stage.inside))),
        )
        for number, stage in enumerate(widths.stages)
    )
    return replace(widths, stages=tuple(stages))
