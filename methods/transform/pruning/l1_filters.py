"""L1-norm filter pruning (Li et al., ICLR 2017, arXiv 1608.08710, section 3.1).

In every layer the filters with the smallest sum of absolute weights go, the same share of every layer. Where several
convolutions share their filters' fate (section 3.3 has residual blocks; here also sums, skips and pools of cells), a
channel's score is the sum over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from methods.registry import register
from methods.spaces.channels import ChannelGroup
from methods.transform.pruning.filters import FilterPruning, Removal


@register(
    "l1_filter_pruning",
    special="removes the filters of smallest L1 norm, the same share of every layer",
    paper="Li et al., ICLR 2017, arXiv 1608.08710",
    space="darts_cell, dense_cell, resnet, vgg",
)
class L1FilterPruning(FilterPruning):
    """Uniform shares of all layers, smallest filters first; see `RatioOptions`."""

    def scores(self, network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        """Sum of the absolute weights that make a channel, over all producers of its group."""
        scores = {}
        for group in groups:
            total = torch.zeros(group.size, dtype=torch.float64)
            for slot in group.producers:
                weight = network.get_submodule(slot.module).get_parameter("weight").detach()
                total[slot.first : slot.first + slot.length] += weight.double().abs().flatten(1).sum(1).cpu()
            scores[group.name] = total
        return scores

    def order(self, scores: Mapping[str, Tensor], removable: Mapping[str, list[int]]) -> list[Removal]:
        """By the share of its layer that is gone once a filter is, so that all layers shrink alike."""
        positions = [
            ((rank + 1) / len(scores[name]), (name, channel))
            for name, channels in removable.items()
            for rank, channel in enumerate(channels)
        ]
        return [removal for _, removal in sorted(positions, key=lambda entry: entry[0])]
