"""What a supernet that is a chain asks of an executor: the outcome of a slot by one row of the gates.

A slot is a place at which one of several blocks is chosen. Where stride and channels stay, its input is added to what
is chosen. The rules of `methods.parts.executors.protocol` hold here, too: an executor draws nothing at random, and one
that decides on the host says `branches_on_host`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from methods.parts.executors.choice import Choice
from methods.parts.executors.identity_path import IdentityPath
from methods.parts.executors.partial_channels import channel_shuffle
from methods.parts.executors.recompute import Memory, discarded_statistics
from methods.parts.executors.single_path import unchanged
from methods.parts.gates import Gates


class SlotExecutor(nn.Module, ABC):
    """Executes one slot."""

    @abstractmethod
    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        """(batch, c_in, h, w) to (batch, c_out, h / stride, w / stride), by row `row` of the gates."""


MakeSlot = Callable[[int, int, int], SlotExecutor]
"""(channels in, channels out, stride) -> the executor of a slot."""
MakeBlocks = Callable[[int, int, int], nn.Module]
"""The same for what is chosen in a slot, called with (x, gates, row)."""


def keeps_shape(c_in: int, c_out: int, stride: int) -> bool:
    return stride == 1 and c_in == c_out


class AddsInput(SlotExecutor):
    """What is chosen, and the slot's input where the shape stays."""

    def __init__(self, c_in: int, c_out: int, stride: int, blocks: MakeBlocks) -> None:
        super().__init__()
        self.keeps_shape = keeps_shape(c_in, c_out, stride)
        self.blocks = blocks(c_in, c_out, stride)

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        chosen = self.blocks(x, gates, row)
        return x + chosen if self.keeps_shape else chosen


def slots_of(blocks: MakeBlocks) -> MakeSlot:
    return partial(AddsInput, blocks=blocks)


class Nothing(nn.Module):
    """No block: zeros of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def single_path(
    options: Callable[[int, int, int], Iterable[nn.Module]], change: Callable[[nn.Module], nn.Module] = unchanged
) -> MakeSlot:
    """The executor that runs the chosen option alone.

    Args:
        options: of a slot, in the order of the gates' columns; `Nothing` where a slot can be left empty.
        change: what becomes of each option's module.
    """
    return slots_of(lambda *place: Choice(change(option) for option in options(*place)))


class PartialSlot(SlotExecutor):
    """1 / `share` of the channels through another executor, the rest around it, then shuffled.

    As in the cells of PC-DARTS (Xu et al., ICLR 2020, section 3.3), what goes around a slot of stride 2 is max-pooled.
    No cell of theirs changes the number of channels on the way; where a slot does, the channels that go around are
    repeated in turn, or the last ones left out (ours).

    Raises:
        ValueError: `share` does not divide the channels.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, share: int, slot: MakeSlot) -> None:
        super().__init__()
        if c_in % share or c_out % share:
            raise ValueError(f"{c_in} or {c_out} channels cannot be divided by partial_channels={share}")
        self.through, self.around, self.share = c_in // share, c_out - c_out // share, share
        self.stride = stride
        self.slot = slot(c_in // share, c_out // share, stride)

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        through, around = x.split([self.through, x.shape[1] - self.through], dim=1)
        if self.stride == 2:
            around = F.max_pool2d(around, 2, 2, ceil_mode=True)
        if around.shape[1] != self.around:
            around = torch.cat([around] * -(-self.around // around.shape[1]), dim=1)[:, : self.around]
        return channel_shuffle(torch.cat([self.slot(through, gates, row), around], dim=1), self.share)


def partial_channels(slot: MakeSlot, share: int) -> MakeSlot:
    """1 / `share` of the channels through an executor; all of them where that is 1."""
    return slot if share == 1 else partial(PartialSlot, share=share, slot=slot)


class SlotWithIdentity(SlotExecutor):
    """Another executor, and the slot's input beside what it gives (`methods.parts.executors.identity_path`)."""

    def __init__(self, c_in: int, c_out: int, stride: int, slot: MakeSlot) -> None:
        super().__init__()
        self.slot = slot(c_in, c_out, stride)
        projected = nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out, affine=False)
        self.around = IdentityPath(nn.Identity() if keeps_shape(c_in, c_out, stride) else nn.Sequential(*projected))

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        return self.around.added_to(self.slot(x, gates, row), x)


def beside_identity(slot: MakeSlot) -> MakeSlot:
    """An executor with this path."""
    return partial(SlotWithIdentity, slot=slot)


class RecomputedSlot(SlotExecutor):
    """Another executor whose activations are computed again in the backward pass instead of being kept."""

    def __init__(self, c_in: int, c_out: int, stride: int, slot: MakeSlot) -> None:
        super().__init__()
        self.slot = slot(c_in, c_out, stride)

    def forward(self, x: Tensor, gates: Gates, row: int) -> Tensor:
        return checkpoint(
            self.slot, x, gates, row, use_reentrant=False, preserve_rng_state=False, context_fn=self._contexts
        )

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), discarded_statistics(self.slot)


def recomputed(slot: MakeSlot, memory: Memory) -> MakeSlot:
    """An executor that keeps its activations ("full"), or computes them again ("low")."""
    return partial(RecomputedSlot, slot=slot) if memory == "low" else slot
