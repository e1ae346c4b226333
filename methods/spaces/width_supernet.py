"""The relaxation of spaces of widths: a choice is a decision among its numbers, and its gates mask one feature map.

The columns of a decision are its options from the smallest number to the largest; a decision with fewer has no last
ones. What runs is `methods.spaces.elastic`, masked: there is no executor of candidates to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from torch import Tensor

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.choices import Choices, chosen, hard_one_each, one_each
from methods.parts.convolution import in_memory_format
from methods.parts.costs.widths import Layers
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.parts.topology import SlotTopology
from methods.spaces import NetworkSettings, get_space, space_names
from methods.spaces.relaxation import MakeExecutor, Relaxation, Supernet
from methods.spaces.supernet_settings import SupernetSettings
from methods.spaces.width_space import WidthSpace, elastic_of

KIND = "widths"


class MaskedSupernet(Supernet):
    """Elastic weights whose widths are weighted by gates.

    Raises:
        ArchitectureError: a stem for other images than the space's.
    """

    kinds = (KIND,)
    branches_on_host: ClassVar[bool] = True  # gates are drawn on the host

    def __init__(
        self,
        num_classes: int,
        settings: SupernetSettings,
        parameterisation: Parameterisation,
        executor: MakeExecutor,
        space: str,
    ) -> None:
        super().__init__(parameterisation)
        network = NetworkSettings(stem=settings.stem, in_channels=settings.in_channels)
        self.elastic = elastic_of(space, num_classes, network)

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        rows = (self.gates() if gates is None else gates)[KIND].options
        choices = self.elastic.choices
        selected = {each.name: rows[row, : len(each.values)] for row, each in enumerate(choices)}
        return self.elastic(in_memory_format(images), selected)


def masks(*sizes: int) -> MakeExecutor:
    """In place of an executor."""
    raise MethodError("widths are masked on one feature map: there are no candidates to execute")


def width_space(name: str) -> WidthSpace:
    """Raises MethodError for another space; the message lists those of widths."""
    found = get_space(name)
    if not isinstance(found, WidthSpace):
        names = ", ".join(each for each in space_names() if isinstance(get_space(each), WidthSpace))
        raise MethodError(f"space={name!r} has no widths to choose; these spaces have: {names}")
    return found


def width_relaxation(name: str) -> Relaxation:
    """What a gradient search over widths trains. Raises MethodError for another space."""
    space = width_space(name)
    choices = space.grid.choices()
    names = tuple(f"option {number}" for number in range(1, 1 + max(len(each.values) for each in choices)))
    topology = SlotTopology(KIND, tuple(names[: len(each.values)] for each in choices), names)

    def derive(gates: Mapping[str, Gates]) -> Architecture:
        return space.decode(tuple(gates[KIND].strength().argmax(dim=-1).tolist()))

    def operations_of(architecture: Architecture) -> dict[str, list[str]]:
        return {KIND: [names[option] for option in space.encode(architecture)]}

    def choices_of(architecture: Architecture) -> Choices:
        return chosen(topology, {KIND: list(enumerate(operations_of(architecture)[KIND]))})

    def layers(num_classes: int, in_channels: int, image_size: int) -> Layers:
        return space.layers(space.grid, num_classes, in_channels, image_size)

    return Relaxation(
        space=name,
        topology=topology,
        candidates=names,
        size=(),
        mixture=masks,
        single_path=lambda *_: masks,
        supernet=partial(MaskedSupernet, space=name),
        derive=derive,
        operations_of=operations_of,
        choices=one_each,
        chosen=choices_of,
        hard=hard_one_each,
        layers=layers,
        decisions=tuple((each.name, each.values) for each in choices),
    )
