"""Patches of photographs in two resolutions as batches; and whole photographs, one at a time, to be evaluated on.

As everywhere, order and random numbers are functions of (seed, stream, epoch). A patch is a square of high resolution
and the square of low resolution that shows the same; it may be mirrored, turned upside down, and have its rows made its
columns, each with probability one half.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from bench.data.augment import Augmentation
from bench.data.batches import Batches, Pass
from bench.data.images import DataError, Images, LabelledImages
from bench.data.photographs import Photographs
from methods.base import Batch
from methods.parts.pictures import GREY_LEVELS

Pair = tuple[Tensor, Tensor]


class PatchBatches(Batches):
    """Batches of (low, high): float32 in [0, 1], (batch, channels, h, w) and (batch, channels, scale * h, scale * w).

    An epoch has `Photographs.patches` patches of each; without a patch in the augmentation, each photograph once, as a
    batch of its own.
    """

    def __init__(
        self,
        images: Photographs,
        labels: Tensor,
        batch_size: int,
        augmentation: Augmentation,
        *others: Any,
        **more: Any,
    ) -> None:
        """As `Batches`.

        Raises:
            DataError: photographs that are smaller than a patch, with all their names; or whole photographs shuffled.
        """
        self.photographs = images
        if augmentation.patch:
            labels = labels.repeat(images.patches)
        elif more.get("shuffle", True):
            raise DataError(
                f"photographs are trained on in patches, and augmentation '{augmentation.name}' cuts none; name one as "
                "'patch-64-flip-rotate'"
            )
        else:
            batch_size = 1
        super().__init__(images, labels, batch_size, augmentation, *others, **more)

    def _decode(self, order: Pass, step: int, pool: ThreadPoolExecutor) -> Pair:
        rows = order.rows(step)
        drawn = {name: values[rows] for name, values in order.host_drawn.items()}
        numbers = (order.host_indices[rows] % len(self.photographs)).tolist()
        draws = [{name: values[row] for name, values in drawn.items()} for row in range(len(numbers))]
        pairs = list(pool.map(self._patch, numbers, draws))
        return torch.stack([low for low, _ in pairs]), torch.stack([high for _, high in pairs])

    def _patch(self, number: int, drawn: dict[str, Tensor]) -> Pair:
        low, high = self.photographs.pair(number)
        if "place" not in drawn:
            return low, high
        scale = self.photographs.scale
        side = self.augmentation.patch // scale
        row, column = (
            int(place * (size - side + 1)) for place, size in zip(drawn["place"].tolist(), low.shape[1:], strict=True)
        )
        low = low[:, row : row + side, column : column + side]
        high = high[:, scale * row : scale * (row + side), scale * column : scale * (column + side)]
        return turned(low, drawn), turned(high, drawn)

    def _take(self, order: Pass, step: int, decoded: Pair) -> Batch:
        low, high = (each.to(self.device, non_blocking=True).float() / GREY_LEVELS for each in decoded)
        return low.contiguous(memory_format=self.memory_format), high


def turned(patch: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Mirrored, upside down, rows as columns: (channels, side, side)."""
    if drawn.get("flip"):
        patch = patch.flip(2)
    if "turn" in drawn:
        patch = patch.flip(1) if drawn["turn"][0] else patch
        patch = patch.transpose(1, 2) if drawn["turn"][1] else patch
    return patch


def input_side(images: Images, augmentation: Augmentation) -> int:
    """Height and width of what a network reads in training."""
    if isinstance(images, Photographs) and augmentation.patch:
        return augmentation.patch // images.scale
    return augmentation.image_size


def batches_of(images: LabelledImages) -> type[Batches]:
    """What serves them."""
    return PatchBatches if isinstance(images.images, Photographs) else Batches
