"""Comfort-zone scaling: a network is made larger as long as it is no slower (SurgeNAS, IEEE Transactions on Computers,
2022, doi 10.1109/TC.2022.3188175). Reconstructed.

The paper's text could not be read. Its abstract: the found network is scaled inside a zone in which the device is not
used to the full, so that it becomes more accurate and not slower. How is ours: in each round the network is tried with
`step` more channels in its stem (and everything as much wider), and with another block in each stage. Each is timed in
turn with the network that was found. Of those that take no more than `1 + tolerance` of its time, the one with most
multiply-adds is taken; when there is none, the knee is reached. The resolution is that of the images and stays.

The result depends on the device and, within what its clock repeats, on the moment; the report has every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.base import MethodError, SearchContext, Transform, Transformed
from methods.domain import check, within
from methods.parts.counts import NetworkCounts
from methods.registry import register
from methods.spaces import NetworkSettings, build, get_space
from methods.spaces.chain.grown import deepened, inherited, stages_of, stem_channels, widened


@dataclass(frozen=True)
class ComfortZoneOptions:
    """Attributes:
    tolerance: how much slower the larger network may be, as a share of the smaller one's time.
    step: channels of the stem that a round adds.
    rounds: most steps.
    """

    tolerance: float = field(default=0.05, metadata=within("(0, 1]"))
    step: int = field(default=2, metadata=within("[1, 4096]"))
    rounds: int = field(default=8, metadata=within("[1, 1000]"))

    def __post_init__(self) -> None:
        check(self)


@register(
    "comfort_zone",
    special="a trained chain made wider and deeper as long as it is no slower on this device (reconstructed)",
    paper="SurgeNAS, IEEE Trans. Computers 72(4), 2022, doi 10.1109/TC.2022.3188175",
    space="chain_s, chain_xs, chain_imagenet",
)
class ComfortZone(Transform):
    """Larger, within a time; see `ComfortZoneOptions`."""

    Options = ComfortZoneOptions
    enlarges = True

    def __init__(self, options: ComfortZoneOptions, context: SearchContext) -> None:
        self.options, self.context = options, context

    def apply(self, architecture: Architecture, network: nn.Module, match: Mapping[str, float] | None) -> Transformed:
        """See `Transform.apply`; the larger network computes what `network` does until it is trained.

        Raises:
            MethodError: a size to match, no clock, or not a dense chain.
        """
        if match is not None:
            raise MethodError(f"{self.name} makes a network as large as its time allows; leave 'match' out")
        if self.context.slowdown is None:
            raise MethodError(f"{self.name} needs a clock, and none was given")
        try:
            stem_channels(architecture)
        except ArchitectureError as error:
            raise MethodError(f"{self.name}: {error}") from None
        found, tried, slower = architecture, [], 1.0
        for number in range(1, self.options.rounds + 1):
            fitting = []
            for what, larger in self._larger(found):
                time = self.context.slowdown(self._built(larger).to(_device_of(network)).eval(), network)
                counts = self._counts(larger)
                tried.append({"round": number, "larger": what, "time": round(time, 4), "macs": counts.macs})
                if time <= 1 + self.options.tolerance:
                    fitting.append((counts.macs, time, larger))
            if not fitting:
                break
            _, slower, found = max(fitting, key=lambda each: each[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.context.seed)
            drawn = self._built(found)
        weights = inherited(architecture, found, _on_host(network), drawn)
        before, after = self._counts(architecture), self._counts(found)
        report = {
            "time": round(slower, 4),
            "tolerance": self.options.tolerance,
            "params": [before.params, after.params],
            "macs": [before.macs, after.macs],
            "tried": tried,
        }
        return Transformed(found, weights, report)

    def _larger(self, architecture: Architecture) -> Iterator[tuple[str, Architecture]]:
        """By what it is larger, and what it then is."""
        channels = stem_channels(architecture) + self.options.step
        yield f"{channels} channels in the stem", widened(architecture, channels)
        for stage in range(stages_of(architecture)):
            deeper = deepened(architecture, stage)
            if deeper is not None:
                yield f"stage {stage + 1} with another block", deeper

    def _settings(self) -> NetworkSettings:
        return NetworkSettings(stem=self.context.stem, in_channels=self.context.in_channels)

    def _built(self, architecture: Architecture) -> nn.Module:
        return build(architecture, self.context.num_classes, self._settings())

    def _counts(self, architecture: Architecture) -> NetworkCounts:
        space = get_space(architecture.space)
        return space.counts(architecture, self.context.num_classes, self._settings(), self.context.image_size)

    def provenance(self) -> dict[str, Any]:
        return {"method": self.name, "options": asdict(self.options)}


def _device_of(network: nn.Module) -> Any:
    return next(network.parameters()).device


def _on_host(network: nn.Module) -> dict[str, Any]:
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
