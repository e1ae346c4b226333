"""The last batch of an epoch may hold an odd number of images: mixup takes it like any other.

(Of one image alone: `methods.parts.single_values`.)
"""

from __future__ import annotations

import torch
from torch import Tensor


class Mixup:
    """timm's Mixup in its batch mode, for odd batches too: the image in the middle is mixed with itself.

    Zhang et al., ICLR 2018, in timm's form: one lambda a batch, image i with image n - 1 - i. It draws from numpy's
    global generator, which is part of a checkpoint.
    """

    def __init__(self, alpha: float, num_classes: int) -> None:
        from timm.data import Mixup as Even

        self.even = Even(mixup_alpha=alpha, label_smoothing=0.0, num_classes=num_classes)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images (B, C, H, W) and distributions over the classes (B, num_classes)."""
        middle = len(images) // 2
        if len(images) % 2 == 0:
            return self.even(images, labels)
        twice = [torch.cat([part[: middle + 1], part[middle:]]) for part in (images, labels)]
        mixed = self.even(*twice)
        return tuple(torch.cat([part[:middle], part[middle + 1 :]]) for part in mixed)  # type: ignore[return-value]
