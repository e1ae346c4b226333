"""Magnitude weight pruning (Han et al., NeurIPS 2015, arXiv 1506.02626, section 3): the smallest weights go.

The network keeps its shape; the architecture gets masks, which the trainer keeps exact. Sizes are therefore non-zero
parameters and sparse MACs. The largest weight of every layer stays, so that no layer is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import MethodError, SearchContext, Transform, Transformed
from methods.parts.counts import AUXILIARY_HEAD, count_macs, count_nonzero, weight_positions
from methods.registry import register
from methods.spaces.channels import ChannelNetwork
from methods.transform.pruning.filters import refuse_masks
from methods.transform.pruning.ratio import Counts, RatioOptions, Target, Unit, find_target, image_shape, measure

Scope = Literal["global", "layer"]
MATCHES: Mapping[str, Unit] = {"params_nonzero": "params", "macs_sparse": "macs"}


@dataclass(frozen=True)
class MagnitudeOptions(RatioOptions):
    """Attributes:
    scope: one threshold for the whole network, or one for each layer such that all lose the same share.
    linear: prune linear layers too, not only convolutions.
    """

    scope: Scope = "global"
    linear: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of == "filters":
            raise MethodError("magnitude_pruning removes single weights: a ratio of filters has no meaning here")


@register(
    "magnitude_pruning",
    special="masks the smallest weights of convolutions; the network keeps its shape",
    paper="Han et al., NeurIPS 2015, arXiv 1506.02626",
    space="any",
)
class MagnitudePruning(Transform):
    """Masks over the smallest weights of convolutions; see `MagnitudeOptions`."""

    Options = MagnitudeOptions

    def __init__(self, options: MagnitudeOptions, context: SearchContext) -> None:
        self.options, self.context = options, context

    def apply(self, architecture: Architecture, network: nn.Module, match: Mapping[str, float] | None) -> Transformed:
        """See `Transform.apply`; `match` may be on params_nonzero or macs_sparse, which alone change.

        Raises:
            MethodError: the architecture has masks already, the size is above the dense one or cannot be reached by
                masking these layers without emptying one.
        """
        refuse_masks(self.name, architecture)
        shape = image_shape(self.context)
        dense = measure(network, shape)
        target = find_target(self.options, match, dense, MATCHES)
        weights = self._prunable(network)
        positions = weight_positions(network, shape)
        costs = [positions.get(name, 0) if target.unit == "macs" else 1 for name in weights]
        masks = {
            f"{name}.weight": mask
            for name, mask in zip(weights, self._masks(weights, costs, dense, target), strict=True)
        }
        scale = network.scale if isinstance(network, ChannelNetwork) else {}
        masked = replace(architecture, scale={**architecture.scale, **scale}, masks=masks)
        state = {name: value.detach().clone() for name, value in network.state_dict().items()}
        for name, mask in masks.items():
            state[name] *= mask.to(state[name].device)
        return Transformed(masked, state, self._report(network, masks, dense, target))

    def _prunable(self, network: nn.Module) -> dict[str, Tensor]:
        kinds = nn.Conv2d | nn.Linear if self.options.linear else nn.Conv2d
        return {
            name: module.get_parameter("weight").detach()
            for name, module in network.named_modules()
            if isinstance(module, kinds) and not name.startswith(AUXILIARY_HEAD)
        }

    def _masks(self, weights: Mapping[str, Tensor], costs: list[int], dense: Counts, target: Target) -> list[Tensor]:
        """One bool mask a layer; `costs` is what one weight of each layer counts in the target's unit."""
        sizes = torch.tensor([weight.numel() for weight in weights.values()])
        magnitudes = [weight.abs().flatten().float().cpu() for weight in weights.values()]
        if self.options.scope == "layer":
            magnitudes = [_relative_rank(magnitude) for magnitude in magnitudes]
        for magnitude in magnitudes:
            magnitude[magnitude.argmax()] = torch.inf  # the largest weight of every layer stays
        order = torch.cat(magnitudes).argsort(stable=True)[: -len(magnitudes)]
        removed_after = torch.tensor(costs).repeat_interleave(sizes)[order].cumsum(0)
        excess = getattr(dense, target.unit) - target.left
        if excess > int(removed_after[-1]):
            raise MethodError(
                f"removing {target.ratio:.1%} of {target.unit} would empty a layer: with one weight left in every "
                f"masked layer {int(removed_after[-1]) / getattr(dense, target.unit):.1%} are gone; "
                "ask for a smaller ratio" + ("" if self.options.linear else " or set linear: true")
            )
        count = int(torch.searchsorted(removed_after, round(excess), right=True))
        kept = torch.ones(int(sizes.sum()), dtype=torch.bool)
        kept[order[:count]] = False
        parts = kept.split(sizes.tolist())
        return [part.view(weight.shape).clone() for part, weight in zip(parts, weights.values(), strict=True)]

    def _report(self, network: nn.Module, masks: Mapping[str, Tensor], dense: Counts, target: Target) -> dict[str, Any]:
        nonzero = count_nonzero(network, masks)
        sparse = count_macs(network, image_shape(self.context), masks)
        gone = dense.params - nonzero
        small = {"params_nonzero": nonzero, "macs_sparse": sparse, "weights": dense.weights - gone}
        removed = {"params": gone / dense.params, "macs": 1 - sparse / dense.macs, "weights": gone / dense.weights}
        density = {name: float(mask.float().mean()) for name, mask in masks.items()}
        at_minimum = [name for name, mask in masks.items() if int(mask.sum()) == 1 < mask.numel()]
        return target.report(dense, small, removed) | {"density": density, "at_minimum": at_minimum}

    def provenance(self) -> dict[str, Any]:
        return {"method": self.name, "options": asdict(self.options)}


def _relative_rank(magnitude: Tensor) -> Tensor:
    """Position of every weight among its layer's, in (0, 1]: thresholds on it take the same share of every layer."""
    ranks = torch.empty(len(magnitude), dtype=torch.float64)
    ranks[magnitude.argsort(stable=True)] = torch.arange(1, len(magnitude) + 1, dtype=torch.float64)
    return ranks / len(magnitude)
