"""Elastic networks: one set of weights for every network of a space of widths (`methods.spaces.width_space`).

    network = elastic_of("chain_s_widths", num_classes, settings)         # built at the largest widths
    network(images)                                                       # the largest
    network(images, {"stages.0.width": 1, "resolution": 0})               # sliced: that option of each, others largest
    network(images, {"stages.0.width": gates})                            # masked: gates (options,), with a gradient

A choice that is given an *option* (an int) runs sliced: layers compute with prefixes of their weights, physically
narrow, as in slimmable networks (Yu and Huang, ICCV 2019). A choice that is given *gates* (a tensor) runs masked (Wan
et al., CVPR 2020, FBNetV2, section 3.1): one feature map at the largest width, weighted by one mask M = sum_i g_i 1_i
where 1_i has as many ones as option i has channels. A normalisation's shift would fill channels again that are masked,
so that the mask is applied again after every normalisation and activation. Memory does not depend on the number of
options. Both ways can be mixed, choice by choice. Option 0 of a block that can be left out has no channels: sliced, the
block is skipped; masked, what it adds is weighted by the gates of all other options.

The resolution as an option samples the images once; as gates every block runs at each resolution on a sampled map, and
what it gives is scattered back among zeros on one grid (FBNetV2, section 3.2): its cost grows with their number. One
that is certain (one-hot gates) gives what the option gives.

Normalisations hold statistics of the largest widths, and a narrow network uses and updates their prefix. In training
mode each call computes with statistics of its own batch, so that running ones belong to all networks that were run:
recalibrate before evaluation (`methods.parts.recalibration`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.parts.costs.widths import Layers, Product
from methods.parts.elastic_layers import Width
from methods.spaces.base import NetworkSettings
from methods.spaces.widths import RESOLUTION, Choice, Count, Grid, Widths, inside_name, width_name

Selected = Mapping[str, int | Tensor]
"""By the name of a choice, its option or the gates of all its options; of a missing one, the largest option."""


@dataclass(frozen=True)
class Block:
    """What is chosen of a block in one forward pass.

    Attributes:
        width: its inner channels; 0 of them: there is no block.
        presence: 0-d, the gates of all options in which it is there; None where that is certain.
    """

    width: Width
    presence: Tensor | None = None

    @property
    def there(self) -> bool:
        return self.width.channels > 0


class Builds(Protocol):
    """What an elastic network needs of its space (`methods.spaces.width_space`)."""

    @property
    def name(self) -> str: ...

    def architecture(self, widths: Widths) -> Architecture: ...

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module: ...

    def layers(self, grid: Grid, num_classes: int, in_channels: int, image_size: int) -> Layers: ...


class ElasticNetwork(nn.Module, ABC):
    """See above. `network` is the largest one, as its space builds it: its parameters and buffers are the weights.

    Attributes:
        space, grid: of the networks that are in it; `choices` are the grid's.
        choices: stage by stage the width of its stream and the insides of its blocks; the resolution last.
    """

    def __init__(self, space: Builds, grid: Grid, num_classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.space, self.grid, self.num_classes, self.settings = space, grid, num_classes, settings
        self.choices: tuple[Choice, ...] = grid.choices()
        self.by_name = {each.name: each for each in self.choices}
        self.network = space.build(space.architecture(grid.picked({})), num_classes, settings)
        for number, each in enumerate(self.choices):
            ones = torch.arange(each.values[-1]) < torch.tensor(each.values)[:, None]
            self.register_buffer(f"stairs_{number}", ones.float(), persistent=False)

    @abstractmethod
    def forward(self, images: Tensor, selected: Selected | None = None) -> Tensor:
        """The logits (batch, num_classes) of images (batch, in_channels, h, w).

        Raises:
            ArchitectureError: a name that is no choice, or an option or gates that are not of it.
        """

    def architecture(self, options: Mapping[str, int]) -> Architecture:
        """Of an option of each choice; the largest of those not named."""
        self.check(options)
        return self.space.architecture(self.grid.picked(options))

    def weights_of(self, options: Mapping[str, int]) -> dict[str, Tensor]:
        """The state dict of the network that is built of `architecture(options)`: prefixes of weights and statistics.

        Copies, on the weights' device.
        """
        with torch.device("meta"):
            small = self.space.build(self.architecture(options), self.num_classes, self.settings)
        state = self.network.state_dict()
        return {
            name: state[name][tuple(map(slice, wanted.shape))].detach().clone()
            for name, wanted in small.state_dict().items()
        }

    def layers(self, count: Count = "macs", image_size: int = 32) -> Sequence[Product]:
        """Of one image: `methods.parts.costs.widths.expected` of them is the mean count over independent choices."""
        layers = self.space.layers(self.grid, self.num_classes, self.settings.in_channels, image_size)
        return layers.macs if count == "macs" else layers.params

    def check(self, selected: Selected) -> None:
        """Raises ArchitectureError for a name that is no choice, or an option or gates that are not of it."""
        for name, given in selected.items():
            if name not in self.by_name:
                raise ArchitectureError(f"'{name}' is no choice of {self.space.name}: {', '.join(self.by_name)}")
            options = len(self.by_name[name].values)
            if given.shape != (options,) if isinstance(given, Tensor) else not 0 <= given < options:
                raise ArchitectureError(f"{name} has {options} options, and {given} is none of them nor their gates")

    def stream(self, stage: int, selected: Selected) -> Width:
        """The channels of a stage in a forward pass."""
        return self._width(width_name(stage), selected)

    def block(self, stage: int, block: int, selected: Selected) -> Block:
        """What is chosen of a block in a forward pass."""
        name = inside_name(stage, block)
        given, values = selected.get(name), self.by_name[name].values
        missing = isinstance(given, Tensor) and values[0] == 0
        return Block(self._width(name, selected), given[1:].sum() if missing else None)  # type: ignore[index]

    def resolution(self, selected: Selected) -> tuple[tuple[int, ...], Tensor | None]:
        """Pixels of 32, and their gates; of an option, it alone without gates."""
        given, values = selected.get(RESOLUTION), self.by_name[RESOLUTION].values
        if isinstance(given, Tensor):
            return values, given
        return (values[-1 if given is None else given],), None

    def _width(self, name: str, selected: Selected) -> Width:
        given, choice = selected.get(name), self.by_name[name]
        if isinstance(given, Tensor):
            stairs = getattr(self, f"stairs_{self.choices.index(choice)}")
            return Width(choice.values[-1], (given[:, None] * stairs.to(given)).sum(dim=0))
        return Width(choice.values[choice.largest if given is None else given])
