"""What a fixed ratio is a ratio of, and how large the pruned network must become.

A ratio is the fraction *removed*: ratio 0.3 of params leaves 70 % of the dense network's parameters. The four units:

    params    parameters for inference (without an auxiliary head)
    macs      multiply-adds of convolutions and linear layers for one image (`methods.parts.counts`)
    filters   output channels of convolutions that are not depthwise (a depthwise filter follows its input)
    weights   weights of convolutions and linear layers, without biases and normalisations
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from torch import nn

from methods.base import MethodError, SearchContext
from methods.domain import check, within
from methods.parts.counts import AUXILIARY_HEAD, ImageShape, count_macs, count_params
from methods.spaces.channels import ChannelNetwork

Unit = Literal["params", "filters", "weights", "macs"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True)
class RatioOptions:
    """Attributes:
    ratio: fraction to remove, in (0, 1).
    of: the unit of that fraction; see the module's description.
    """

    ratio: float = field(default=0.5, metadata=within("(0, 1)"))
    of: Unit = "params"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Counts:
    """The size of a network in every unit."""

    params: int
    macs: int
    filters: int
    weights: int

    def removed(self, dense: Counts) -> dict[str, float]:
        """Fraction removed in every unit."""
        return {unit: 1.0 - getattr(self, unit) / getattr(dense, unit) for unit in UNITS}


def depthwise_layers(network: nn.Module) -> set[str]:
    """Names of depthwise convolutions: as declared, since at one channel they look like any other."""
    if isinstance(network, ChannelNetwork):
        return {name for group in network.channel_groups() for name in group.depthwise}
    return {name for name, module in network.named_modules() if isinstance(module, nn.Conv2d) and module.groups > 1}


def measure(network: nn.Module, image_shape: ImageShape) -> Counts:
    """Count a built network, on any device (meta will do)."""
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not name.startswith(AUXILIARY_HEAD)
    }
    filters = {name for name, layer in layers.items() if isinstance(layer, nn.Conv2d)} - depthwise_layers(network)
    return Counts(
        params=count_params(network),
        macs=count_macs(network, image_shape),
        filters=sum(layers[name].weight.shape[0] for name in filters),
        weights=sum(layer.weight.numel() for layer in layers.values()),
    )


def image_shape(context: SearchContext) -> ImageShape:
    return context.in_channels, context.image_size, context.image_size


@dataclass(frozen=True)
class Target:
    """How much of `unit` should be left; `ratio` is the same as a fraction removed of the dense size."""

    unit: Unit
    left: float
    ratio: float
    match: Mapping[str, float] | None = None

    def report(self, dense: Counts, small: Mapping[str, float], removed: Mapping[str, float]) -> dict[str, Any]:
        """The part of a report that all fixed-ratio methods share: what was asked, and what became of it."""
        return {
            "of": self.unit,
            "asked": self.ratio,
            "match": None if self.match is None else dict(self.match),
            "achieved": dict(removed),
            "dense": asdict(dense),
            "small": dict(small),
        }


def find_target(
    options: RatioOptions, match: Mapping[str, Any] | None, dense: Counts, counts: Mapping[str, Unit]
) -> Target:
    """The size asked for, by the ratio in the options or by another run's result.

    Args:
        match: `{"on": count name, "value": number}`, or None for the options' ratio.
        counts: the count names this method can match, each with the unit it is compared in.

    Raises:
        MethodError: a count this method does not change, or a size that is not below the dense one.
    """
    if match is None:
        return Target(options.of, (1 - options.ratio) * getattr(dense, options.of), options.ratio)
    on, value = str(match.get("on")), match.get("value")
    if on not in counts:
        raise MethodError(f"this method cannot match '{on}'; it can match {', '.join(counts)}")
    unit = counts[on]
    size = getattr(dense, unit)
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise MethodError(f"the {on} to match is {value!r}; it must be a number above 0")
    if value > size:
        raise MethodError(f"the {on} to match, {value:,.0f}, is above the dense network's {size:,}: prune a larger one")
    return Target(unit, float(value), 1 - value / size, match)
