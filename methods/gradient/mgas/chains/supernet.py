"""The supernet of a chain: its places in three stages, each stage with its own head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.base import SearchContext
from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.chains.place import SearchPlace
from methods.gradient.mgas.chains.topology import STRUCTURE, ChainPlan
from methods.gradient.mgas.discretize import Discretisation
from methods.gradient.mgas.structure import LAST_STAGE
from methods.gradient.mgas.supernet import Supernet
from methods.gradient.mgas.switches import Switches
from methods.parts.convolution import in_memory_format
from methods.spaces.chain.network import Frame
from methods.spaces.chain.notation import NAMES
from methods.spaces.chain.space import refuse_other_images
from methods.spaces.operation_names import ZERO


class EarlyHead(nn.Module):
    """What ends the chain, behind an early stage: 1x1 convolution, average over all pixels, a linear layer."""

    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6())
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1))


class ChainSupernet(Supernet):
    """See `Supernet`; `cells` are the places.

    Raises:
        ArchitectureError: a stem for other images than the chain's.
    """

    plan: ChainPlan
    names = NAMES
    needs_a_block: Tensor

    def __init__(
        self,
        plan: ChainPlan,
        context: SearchContext,
        switches: Switches,
        discretisation: Discretisation,
        heads: bool = True,
    ) -> None:
        super().__init__(plan, STRUCTURE, discretisation)
        macro, places = plan.macro, plan.places
        refuse_other_images(plan.space, macro, context.stem)
        self.cells = nn.ModuleList(
            SearchPlace(index, place, switches, discretisation) for index, place in enumerate(places)
        )
        self.frame = Frame(macro, context.num_classes, context.in_channels, [])
        self.heads = nn.ModuleList(
            EarlyHead(places[end].c_out, macro.head, context.num_classes)
            for end in plan.stage_ends[: LAST_STAGE if heads else 0]
        )
        needs = torch.tensor([not place.keeps_shape for place in places])
        self.register_buffer("needs_a_block", needs, persistent=False)

    def cell(self, index: int) -> SearchPlace:
        place = self.cells[index]
        assert isinstance(place, SearchPlace)
        return place

    def needed(self, cells: Sequence[SearchCell]) -> Tensor:
        return self.needs_a_block[cells[0].index : cells[-1].index + 1]

    def forward(self, images: Tensor) -> Tensor:
        places = self.executed()
        coefficients = self.coefficients(places)
        x = self.frame.begin(in_memory_format(images))
        for place, given in zip(places, coefficients.unbind(), strict=True):
            x = place(x, given)
        if self.stage < LAST_STAGE:
            return self.heads[self.stage](x)
        return self.frame.end(x)

    def around(self) -> list[nn.Module]:
        ends = [self.heads[self.stage]] if self.stage < LAST_STAGE else [self.frame.head, self.frame.classifier]
        return [self.frame.stem, self.frame.first, *ends]

    def operation_names(self) -> list[str]:
        """The blocks of every place, `zero` for one without."""
        places = self.executed(LAST_STAGE)
        return [name for place in places for name in ([place.module_name(slot) for slot in place.slots] or [ZERO])]
