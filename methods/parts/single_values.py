"""Batch normalisation of one value per channel, where a last batch of one image meets a map of one pixel."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def take_single_values(network: nn.Module) -> None:
    """Let batch normalisations take a batch with one value per channel (one image, a map of one pixel), in place.

    Such a batch has no variance, and torch refuses it. It is normalised with the running statistics, as in evaluation,
    and leaves them as they are. Every other batch is normalised as before, to the same bits; so is one that several
    processes share, for they have other values of it.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(_evaluate_a_single_value)
            module.register_forward_hook(_train_again)


def _evaluate_a_single_value(module: Any, inputs: tuple[Tensor, ...]) -> None:
    alone = getattr(module, "processes", 1) == 1
    if alone and module.training and inputs[0].numel() == inputs[0].shape[1]:
        module.training, module.single_value = False, True


def _train_again(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    if vars(module).pop("single_value", False):
        module.training = True
