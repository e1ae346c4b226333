"""Network slimming (Liu et al., ICCV 2017, arXiv 1708.06519).

The dense network is trained with an L1 penalty on the scales of its batch normalisations (equation 1); then one
threshold over the absolute scales of the whole network decides which channels go. Where several normalisations share
a channel (sums, skips and pools of cells; residual streams), its score is the mean of their absolute scales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from methods.base import MethodError
from methods.domain import within
from methods.parts.counts import AUXILIARY_HEAD
from methods.registry import register
from methods.spaces.channels import ChannelGroup
from methods.transform.pruning.filters import FilterPruning, Removal
from methods.transform.pruning.ratio import RatioOptions


@dataclass(frozen=True)
class SlimmingOptions(RatioOptions):
    """Attributes:
    penalty: weight of the L1 penalty in the training loss, at least 0; 1e-4 for VGG-19 and 1e-5 for ResNet-164
        in the paper (section 4.2).
    """

    penalty: float = field(default=1e-4, metadata=within("[0, inf)"))


@register(
    "network_slimming",
    special="trains with an L1 penalty on batch-norm scales, then cuts channels below one global threshold",
    paper="Liu et al., ICCV 2017, arXiv 1708.06519",
    space="darts_cell, dense_cell, resnet, vgg",
)
class NetworkSlimming(FilterPruning):
    """A global threshold over the scales of batch normalisations; see `SlimmingOptions`."""

    Options = SlimmingOptions
    options: SlimmingOptions

    @classmethod
    def penalty_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"penalty": options["penalty"]} if "penalty" in options else {}

    def training_penalty(self, network: nn.Module) -> Tensor | None:
        """`penalty` times the sum of the absolute scales, a 0-d tensor; the auxiliary head's are left out.

        Raises:
            MethodError: the network has no batch normalisation with a scale.
        """
        scales = [
            module.weight
            for name, module in network.named_modules()
            if isinstance(module, _BatchNorm) and module.affine and AUXILIARY_HEAD not in name.split(".")
        ]
        if not scales:
            raise MethodError(f"{self.name} needs batch normalisation with scales; {type(network).__name__} has none")
        return self.options.penalty * torch.cat([*scales]).abs().sum()

    def scores(self, network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        scores = {}
        for group in groups:
            norms = [network.get_submodule(name) for name in group.norms]
            scales = [norm.weight.detach().abs() for norm in norms if isinstance(norm, _BatchNorm) and norm.affine]
            if not scales:
                raise MethodError(
                    f"{self.name} needs batch normalisation with scales over every group of channels; "
                    f"{group.name} has none"
                )
            scores[group.name] = torch.stack(scales).mean(0)
        return scores

    def order(self, scores: Mapping[str, Tensor], removable: Mapping[str, list[int]]) -> list[Removal]:
        """By score over the whole network."""
        values = {name: score.tolist() for name, score in scores.items()}
        order = [(name, channel) for name, channels in removable.items() for channel in channels]
        return sorted(order, key=lambda removal: values[removal[0]][removal[1]])
