"""The one-shot weights of chains: at each place one of the candidates is run, or none."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import Tensor, nn

from methods.parts.executors.slots import keeps_shape
from methods.spaces.chain.macro import MACROS, Place
from methods.spaces.chain.network import Frame
from methods.spaces.chain.space import ChainSpace, refuse_other_images
from methods.spaces.chain.supernet import options
from methods.spaces.decisions import Code, check_code
from methods.spaces.paths import PathSupernet
from methods.spaces.supernet_settings import SupernetSettings


class _Slot(nn.Module):
    def __init__(self, place: Place) -> None:
        super().__init__()
        at = place.c_in, place.c_out, place.stride
        self.keeps_shape = keeps_shape(*at)
        self.options = nn.ModuleList(options(*at))

    def forward(self, x: Tensor, option: int) -> Tensor:
        chosen = cast(Tensor, self.options[option](x))
        return x + chosen if self.keeps_shape else chosen


class ChainPaths(PathSupernet):
    """`PathSupernet` of a space of chains. A code is the choice of each place, as the space has it."""

    space: ClassVar[str]

    def __init__(self, num_classes: int, settings: SupernetSettings) -> None:
        super().__init__()
        macro = MACROS[self.space]
        refuse_other_images(self.space, macro, settings.stem)
        self.frame = Frame(macro, num_classes, settings.in_channels, [_Slot(place) for place in macro.places()])

    def forward(self, images: Tensor, code: Code) -> Tensor:
        check_code(ChainSpace(self.space), code)
        return self.frame.run(images, ((option,) for option in code))


class PathsS(ChainPaths):
    space = "chain_s"


class PathsXS(ChainPaths):
    space = "chain_xs"


class PathsImageNet(ChainPaths):
    space = "chain_imagenet"


SUPERNETS = (PathsS, PathsXS, PathsImageNet)
