"""Spaces of widths: how many channels each part of a fixed network has, how many blocks, and how many pixels it sees.

Genotype, in every such space:

    {"stages": [{"width": 24, "inside": [72, 144, 0]}, ...], "resolution": 28}

`width` has the channels of a stage's residual stream, one number for all layers that are tied by its additions;
`inside` the channels inside of each of its blocks, 0 where there is no block (which only can be where the shape stays).
`resolution` is in pixels of an image of 32; images of other sizes are sampled in proportion (`methods.parts.pixels`).
Any numbers can be built; those on the space's `Grid` are its decisions. `widths` of an architecture, by the names of
the network's channel groups, override its genotype: what pruning leaves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import MOST_CHANNELS, refuse_unknown
from methods.spaces.base import NetworkSettings, SizeMatch, refuse_imagenet_stem
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample

if TYPE_CHECKING:  # who reads a genotype needs no torch
    import torch
    from torch import nn

    from methods.parts.costs.widths import Layers
    from methods.parts.counts import NetworkCounts
    from methods.spaces.elastic import ElasticNetwork

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
        return _overridden(widths, architecture.widths, self.group_names(widths))

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


def _overridden(widths: Widths, groups: Mapping[str, int], names: Mapping[str, str]) -> Widths:
    """With the channels that pruning left."""
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
