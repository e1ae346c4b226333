"""Filter pruning at a fixed ratio: methods give every filter a score, this file does everything else.

Filters go in one *removal order* over the whole network, and the achieved size is searched along that order by
bisection on the closed form of `size.py`. The best filter of every convolution is never in the order: no layer can be
emptied, and a ratio that would need it is an error.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext, Transform, Transformed
from methods.spaces import NetworkSettings, build
from methods.spaces.channels import ChannelGroup, channel_groups, shrink
from methods.transform.pruning.ratio import RatioOptions, Target, Unit, find_target, image_shape, measure
from methods.transform.pruning.size import SizeModel

MATCHES: Mapping[str, Unit] = {"params": "params", "params_nonzero": "params", "macs": "macs"}

Removal = tuple[str, int]
"""A group's name and one of its channels."""


class FilterPruning(Transform):
    """A transform that removes filters physically. Subclasses say which go first."""

    Options: ClassVar[type] = RatioOptions

    def __init__(self, options: RatioOptions, context: SearchContext) -> None:
        self.options, self.context = options, context

    @abstractmethod
    def scores(self, network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        """A score (size,) for the channels of every group; within a group the lowest go first."""

    @abstractmethod
    def order(self, scores: Mapping[str, Tensor], removable: Mapping[str, list[int]]) -> list[Removal]:
        """All removable channels, first to go first; `removable` lists them by group, lowest score first."""

    def apply(self, architecture: Architecture, network: nn.Module, match: Mapping[str, float] | None) -> Transformed:
        """See `Transform.apply`; `match` may be on params, params_nonzero (the same here) or macs.

        Raises:
            MethodError: the architecture has weight masks, the size is above the dense one, or it is so small that a
                layer would be emptied.
        """
        refuse_masks(self.name, architecture)
        groups = channel_groups(network)
        shape = image_shape(self.context)
        dense = measure(network, shape)
        target = find_target(self.options, match, dense, MATCHES)
        scores = {name: score.detach().double().cpu() for name, score in self.scores(network, groups).items()}
        removable = {group.name: _removable(group, scores[group.name]) for group in groups}
        order = self.order(scores, removable)
        masks = search(SizeModel(network, groups, shape), groups, order, target)
        keep = {name: mask.nonzero().flatten() for name, mask in masks.items()}
        smaller, weights = shrink(architecture, network, keep)
        small = measure(self._built(smaller, network, weights), shape)
        report = target.report(dense, asdict(small), small.removed(dense)) | {
            "widths": {group.name: [int(masks[group.name].sum()), group.size] for group in groups},
            "at_minimum": [g.name for g in groups if int((~masks[g.name]).sum()) == len(removable[g.name]) > 0],
        }
        return Transformed(smaller, weights, report)

    def _built(self, smaller: Architecture, network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
        """The small network itself, on the meta device: what is reported is what will be trained."""
        auxiliary = getattr(network, "auxiliary_head", None) is not None
        settings = NetworkSettings(auxiliary=auxiliary, stem=self.context.stem, in_channels=self.context.in_channels)
        with torch.device("meta"):
            built = build(smaller, self.context.num_classes, settings)
        shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
        if shapes != {name: tensor.shape for name, tensor in weights.items()}:
            raise MethodError(f"the network given to {self.name} is not the one its architecture and task describe")
        return built

    def provenance(self) -> dict[str, Any]:
        return {"method": self.name, "options": asdict(self.options)}


def refuse_masks(method: str, architecture: Architecture) -> None:
    if architecture.masks:
        raise MethodError(f"{method} prunes dense networks; this architecture has weight masks already")


def _removable(group: ChannelGroup, score: Tensor) -> list[int]:
    """The group's channels from the lowest score, without the best one of each producer."""
    protected = {first + int(score[first:end].argmax()) for first, end in group.sections}
    return [channel for channel in score.argsort(stable=True).tolist() if channel not in protected]


def search(
    size: SizeModel, groups: Sequence[ChannelGroup], order: Sequence[Removal], target: Target
) -> dict[str, Tensor]:
    """The kept channels (bool masks by group) after the prefix of `order` that comes nearest to the target.

    In a network so small that one channel makes that miss by over 1 % of the dense size, the prefix stops short of the
    target, and of the channels after it those go that still fit.

    Raises:
        MethodError: the whole order leaves more than the target, by over 1 % of the dense size.
    """

    def left(count: int) -> int:
        return int(getattr(size.counts(_masks(groups, order[:count])), target.unit))

    dense, least = left(0), left(len(order))
    if least - target.left > 0.01 * dense:
        raise MethodError(
            f"removing {target.ratio:.1%} of {target.unit} would empty a layer: with one filter left in every "
            f"convolution {1 - least / dense:.1%} are gone; ask for a smaller ratio"
        )
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if left(middle) > target.left:
            low = middle + 1
        else:
            high = middle
    nearest = min(max(low - 1, 0), low, key=lambda count: abs(left(count) - target.left))
    if abs(left(nearest) - target.left) <= 0.01 * dense:
        return _masks(groups, order[:nearest])
    removed = list(order[: low - 1])
    for removal in order[low - 1 :]:
        if getattr(size.counts(_masks(groups, [*removed, removal])), target.unit) >= target.left:
            removed.append(removal)
    return _masks(groups, removed)


def _masks(groups: Sequence[ChannelGroup], removed: Sequence[Removal]) -> dict[str, Tensor]:
    masks = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    channels: dict[str, list[int]] = {}
    for name, channel in removed:
        channels.setdefault(name, []).append(channel)
    for name, indices in channels.items():
        masks[name][indices] = False
    return masks
