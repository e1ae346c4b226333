"""The last batch of an epoch may hold one image, or an odd number of them: both are trained like any other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def take_single_values(network: nn.Module) -> None:
    """Let batch normalisations take a batch with one value per channel (one image, a map of one pixel), in place.

    Such a batch has no variance, and torch refuses it. It is normalised with the running statistics, as in evaluation,
    and leaves them as they are. Every other batch is normalised as before, to the same bits.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(_evaluate_a_single_value)
            module.register_forward_hook(_train_again)


def _evaluate_a_single_value(module: Any, inputs: tuple[Tensor, ...]) -> None:
    if module.training and inputs[0].numel() == inputs[0].shape[1]:
        module.training, module.single_value = False, True


def _train_again(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    if vars(module).pop("single_value", False):
        module.training = True


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
