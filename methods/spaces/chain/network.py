"""Networks that are chains: a stem, a fixed first block, slots, a head; and the built ones, each slot with its blocks.

MobileNetV2's form (Sandler et al., CVPR 2018, table 2): ReLU6, one linear layer on the average over all pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.drop_path import drop_path
from methods.spaces.chain.blocks import MBConv
from methods.spaces.chain.layout import Slot, width_name
from methods.spaces.chain.macro import Macro
from methods.spaces.channels import ChannelGroup, ChannelMap

ACTIVATION = "relu6"


class Frame(nn.Module):
    """Everything but the slots; `run(images, for_slots)` gives logits (batch, num_classes).

    Args:
        slots: modules from (batch, c_in, h, w) to (batch, c_out, h / stride, w / stride), in the order of their places.
    """

    def __init__(self, macro: Macro, num_classes: int, in_channels: int, slots: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, macro.stem, 3, macro.stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(macro.stem),
            nn.ReLU6(),
        )
        self.first = MBConv(macro.stem, macro.first, 1, 1, 3, activation=ACTIVATION)
        self.slots = nn.ModuleList(slots)
        width = macro.stages[-1].width
        self.head = nn.Sequential(nn.Conv2d(width, macro.head, 1, bias=False), nn.BatchNorm2d(macro.head), nn.ReLU6())
        self.classifier = nn.Linear(macro.head, num_classes)

    def run(self, images: Tensor, for_slots: Iterable[tuple[Any, ...]]) -> Tensor:
        """Each slot is called with the map that the one before it gives, and with what is for it."""
        x = self.begin(images)
        for slot, given in zip(self.slots, for_slots, strict=True):
            x = slot(x, *given)
        return self.end(x)

    def begin(self, images: Tensor) -> Tensor:
        """What the first slot is given."""
        return self.first.transform(self.stem(images))

    def end(self, x: Tensor) -> Tensor:
        """The logits of what the last slot gives."""
        return self.classifier(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1))


class BuiltSlot(nn.Module):
    """The sum of its blocks, and of its input where the shape stays."""

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        place = slot.place
        self.keeps_shape = place.keeps_shape
        self.blocks = nn.ModuleList(
            MBConv(
                place.c_in,
                place.c_out,
                place.stride,
                block.expansion,
                block.kernel,
                inner=inner,
                activation=block.activation(ACTIVATION),
                squeeze=block.squeeze,
            )
            for block, inner in zip(slot.blocks, slot.inner, strict=True)
        )

    def forward(self, x: Tensor, drop_probability: Tensor | None) -> Tensor:
        total: Tensor | None = None
        for block in cast(list[MBConv], list(self.blocks)):
            value = block.transform(x)
            total = value if total is None else total + value
        if total is None:
            return x
        if not self.keeps_shape:
            return total
        return x + (total if drop_probability is None else drop_path(total, drop_probability))


class ChainNetwork(Frame):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head.

    Drop path is off until `set_drop_path` is called with a probability above zero; it drops what a place adds to its
    input, and nothing where the shape changes.

    Args:
        macro: at the network's scale.
    """

    drop_path_probability: Tensor

    def __init__(self, macro: Macro, slots: Sequence[Slot], num_classes: int, in_channels: int) -> None:
        super().__init__(macro, num_classes, in_channels, [BuiltSlot(slot) for slot in slots])
        self.scale: Mapping[str, int] = {"channels": macro.stem}
        self.register_buffer("drop_path_probability", torch.zeros(()), persistent=False)
        self.drop_path_on = False

    def set_drop_path(self, probability: float) -> None:
        """Probability with which what a place adds is dropped for a sample, in training mode."""
        self.drop_path_on = self.drop_path_on or probability > 0
        self.drop_path_probability.fill_(probability)

    def forward(self, images: Tensor) -> Tensor:
        drop = self.drop_path_probability if self.training and self.drop_path_on else None
        return self.run(images, [(drop,)] * len(self.slots))

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """The channels inside of every block that expands; those between blocks are their stage's and stay."""
        channels = ChannelMap(self)
        for number, slot in enumerate(cast(list[BuiltSlot], list(self.slots))):
            for n, block in enumerate(cast(list[MBConv], list(slot.blocks))):
                if block.expand is None:
                    continue
                path, group = f"slots.{number}.blocks.{n}", width_name(number, n)
                channels.add(group, block.expand.out_channels)
                channels.produce(f"{path}.expand", group)
                channels.norm(f"{path}.norm1", group)
                channels.depthwise(f"{path}.depthwise", group)
                channels.norm(f"{path}.norm2", group)
                if block.squeeze is not None:
                    channels.fix(group)  # which looks through a share of them
                channels.consume(f"{path}.project", [group])
        return channels.groups()
