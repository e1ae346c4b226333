"""The one-shot weights of the space: on each edge one of the five operations, `none` included, is run."""

from __future__ import annotations

from torch import Tensor, nn

from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.decisions import Code, check_code
from methods.spaces.nasbench201.cell import TOPOLOGY
from methods.spaces.nasbench201.network import Frame, candidate
from methods.spaces.nasbench201.space import NASBench201Space
from methods.spaces.paths import PathCell, PathSupernet
from methods.spaces.supernet_settings import SupernetSettings


class _Cell(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = PathCell(TOPOLOGY, lambda name, _: candidate(name, channels, 1))

    def forward(self, x: Tensor, code: Code) -> Tensor:
        return self.inside([x], code)[-1]


class Paths201(PathSupernet):
    """`PathSupernet` of `nasbench201`. A code is the column of the operation of each edge, as the space has it.

    Stem, reductions and the last normalisation have scale and shift, as released.
    """

    space = "nasbench201"

    def __init__(self, num_classes: int, settings: SupernetSettings) -> None:
        super().__init__()
        refuse_imagenet_stem("nasbench201", NetworkSettings(stem=settings.stem))
        self.frame = Frame(_Cell, num_classes, settings.channels, settings.cells_per_stage, settings.in_channels)

    def forward(self, images: Tensor, code: Code) -> Tensor:
        check_code(NASBench201Space(), code)
        return self.frame(images, code)


SUPERNETS = (Paths201,)
