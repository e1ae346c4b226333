"""What the supernets of DARTS' cell space share: stem, the preprocessing of every cell's inputs, classifier.

As in the released code, batch normalisations of preprocessing and candidates have no scale and shift, those of the stem
do (Liu et al., ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from methods.parts.convolution import in_memory_format
from methods.parts.pooling import mean_of_pixels
from methods.spaces.cell.layout import INPUTS
from methods.spaces.cell.network import cifar_stem, imagenet_stem
from methods.spaces.cell.sharing import BY_TYPE, Sharing
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import FactorizedReduce, ReLUConvBN, make_operation
from methods.spaces.supernet_settings import SupernetSettings


@dataclass(frozen=True)
class Place:
    """Where a cell stands: channels of its two inputs, of its states; whether it and the one before it reduce; and the
    kind by which it shares."""

    c_before_last: int
    c_last: int
    channels: int
    reduction: bool
    after_reduction: bool
    kind: str = BY_TYPE.kinds[0]

    def stride(self, source: int) -> int:
        """Of the edges that leave a state."""
        return 2 if self.reduction and source < INPUTS else 1


def candidate(operation: str, channels: int, stride: int) -> nn.Module:
    """One candidate of an edge, as a module of its own."""
    return make_operation(operation, channels, channels, stride, affine=False, pool_norm=True)


class FramedCell(nn.Module):
    """A cell up to its states 0 and 1; called with the outputs of the two cells before it and what is for its kind."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.kind = place.kind
        first = FactorizedReduce if place.after_reduction else ReLUConvBN
        self.preprocess0 = first(place.c_before_last, place.channels, affine=False)
        self.preprocess1 = ReLUConvBN(place.c_last, place.channels, affine=False)


class CellFrame(nn.Module):
    """A stack of cells; those at one and two thirds of the depth reduce."""

    def add_frame(
        self,
        num_classes: int,
        settings: SupernetSettings,
        make_cell: Callable[[Place], FramedCell],
        sharing: Sharing = BY_TYPE,
    ) -> None:
        """Make stem, cells and classifier, once and after `__init__`."""
        channels = settings.channels
        c_before_last = c_last = 3 * channels  # for both stems, unlike the discrete ImageNet network's C
        after_reduction = settings.stem == "imagenet"
        if after_reduction:
            self.stem, self.stem1 = imagenet_stem(settings.in_channels, c_last)
        else:
            self.stem, self.stem1 = cifar_stem(settings.in_channels, c_last), nn.Sequential()
        self.cells = nn.ModuleList()
        for index in range(settings.cells):
            kind = sharing.of(index, settings.cells)
            reduction = sharing.reduces(kind)
            channels *= 2 if reduction else 1
            self.cells.append(make_cell(Place(c_before_last, c_last, channels, reduction, after_reduction, kind)))
            c_before_last, c_last, after_reduction = c_last, TOPOLOGY.nodes * channels, reduction
        self.classifier = nn.Linear(c_last, num_classes)

    @property
    def kinds(self) -> list[str]:
        """Of the cells there are, in the order in which they come."""
        return list(dict.fromkeys(cell.kind for cell in cast(list[FramedCell], list(self.cells))))

    def run(self, images: Tensor, for_kind: Mapping[str, Any]) -> Tensor:
        """The logits (batch, num_classes), each cell called with what is for its kind."""
        before_last = in_memory_format(self.stem(in_memory_format(images)))  # again: one channel hands on no format
        last = self.stem1(before_last)
        for cell in cast(list[FramedCell], list(self.cells)):
            before_last, last = last, cell(before_last, last, for_kind[cell.kind])
        return self.classifier(mean_of_pixels(last))
