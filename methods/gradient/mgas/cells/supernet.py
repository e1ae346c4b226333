"""The supernet of cells of DARTS: independent cells in three stages, each stage with its own head."""

from __future__ import annotations

from torch import Tensor, nn

from methods.base import SearchContext
from methods.gradient.mgas.cells.cell import DenseCell
from methods.gradient.mgas.cells.topology import CANDIDATES, STRUCTURE, Plan, published_count_edges
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import LAST_STAGE
from methods.gradient.mgas.supernet import Supernet
from methods.gradient.mgas.switches import Switches
from methods.parts.convolution import in_memory_format
from methods.parts.pooling import mean_of_pixels
from methods.parts.single_values import take_single_values
from methods.spaces.cell.network import cifar_stem, imagenet_stem


class StageHead(nn.Sequential):
    """Classifier of an early stage: pool, 1x1 convolution to 128, a convolution over the whole map to 256, linear.

    For 32x32 images this is the released head: pooling 11 (stage 1) or 7 (stage 2) with stride 3 to 8x8 or 4x4. For
    other sizes an adaptive pool makes a quarter of the stage's resolution, as the released heads do.
    """

    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        pooled = max(1, size // 4)
        kernel = size - 3 * (pooled - 1)
        official = size in (32, 16)
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(kernel, stride=3, count_include_pad=False) if official else nn.AdaptiveAvgPool2d(pooled),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 256, pooled, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, num_classes),
        )
        take_single_values(self)  # its map is one pixel, and the last batch of an epoch may be one image


class CellSupernet(Supernet):
    """See `Supernet`; `heads` are those of the early stages."""

    plan: Plan
    names = CANDIDATES

    def __init__(
        self,
        plan: Plan,
        context: SearchContext,
        switches: Switches,
        discretisation: Discretisation,
        heads: bool = True,
    ) -> None:
        super().__init__(plan, STRUCTURE, discretisation)
        self.published_count = switches.node_count == "published"
        self.stem_kind = context.stem
        size = context.image_size
        if context.stem == "cifar":
            before_last = last = 3 * plan.channels
            self.stem: nn.Module = cifar_stem(context.in_channels, last)
        else:
            before_last = last = plan.channels
            self.stem, self.stem1 = imagenet_stem(context.in_channels, plan.channels)
            size //= 8
        self.cells = nn.ModuleList()
        for index in range(plan.cells):
            halved_input = index - 1 in plan.reductions or (index == 0 and context.stem == "imagenet")
            cell = DenseCell(index, plan, (before_last, last), halved_input, switches, discretisation)
            self.cells.append(cell)
            before_last, last = last, 4 * plan.width(index)
        self.heads = nn.ModuleList(
            StageHead(4 * plan.channels * 2**stage, size // 2**stage, context.num_classes)
            for stage in range(LAST_STAGE if heads else 0)
        )
        self.classifier = nn.Linear(last, context.num_classes)

    def cell(self, index: int) -> DenseCell:
        cell = self.cells[index]
        assert isinstance(cell, DenseCell)
        return cell

    def forward(self, images: Tensor) -> Tensor:
        cells = self.executed()
        coefficients = self.coefficients(cells)
        before_last = self.stem(in_memory_format(images))
        last = self.stem1(before_last) if self.stem_kind == "imagenet" else before_last
        for cell, given in zip(cells, coefficients.unbind(), strict=True):
            before_last, last = last, cell(before_last, last, given)
        if self.stage < LAST_STAGE:
            return self.heads[self.stage](last)
        return self.classifier(mean_of_pixels(last))

    def head(self) -> nn.Module:
        """The present stage's classifier."""
        return self.heads[self.stage] if self.stage < LAST_STAGE else self.classifier

    def around(self) -> list[nn.Module]:
        return [self.head(), self.stem, *([self.stem1] if self.stem_kind == "imagenet" else [])]

    def counted(self) -> Tensor | None:
        return published_count_edges(self.strength.device) if self.published_count else None

    def operation_names(self) -> list[str]:
        return [CANDIDATES[op] for cell in self.executed(LAST_STAGE) for _, op in cell.slots]
