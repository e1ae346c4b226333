"""Reference networks as timm builds them: MobileNetV2, MobileNetV3 and EfficientNet, what others are measured against.

Genotype: `{"network": "mobilenetv2_100"}`. They are what was published for ImageNet, whatever the images are: on 32
pixels a map of one pixel is left at the end. Weights start as timm starts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts, count_macs, count_params
from methods.spaces.base import NetworkSettings
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.registry import register_space

NETWORKS = ("mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_b0")


@register_space(
    "timm", "reference networks as timm builds them: MobileNetV2, MobileNetV3 small and large, EfficientNet-B0"
)
@dataclass(frozen=True)
class TimmSpace:
    """One decision: which network."""

    name: str = "timm"

    def decisions(self) -> tuple[Decision, ...]:
        return (Decision("network", NETWORKS),)

    def encode(self, architecture: Architecture) -> Code:
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        return (NETWORKS.index(architecture.genotype["network"]),)

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return Architecture(self.name, {"network": NETWORKS[code[0]]})

    def reference(self) -> Architecture:
        return self.decode((0,))

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over the four."""
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if it is another network, or has a scale or widths of its own."""
        refuse_unknown("key in a genotype of timm:", architecture.genotype, {"network"})
        if architecture.genotype.get("network") not in NETWORKS:
            raise ArchitectureError(
                f"network {shown(architecture.genotype.get('network'))} is none of the reference networks: "
                f"{', '.join(NETWORKS)}"
            )
        if architecture.scale or architecture.widths:
            raise ArchitectureError("a reference network has the size it was published with; leave scale, widths empty")

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """None: each has one size."""
        return {}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts."""
        import timm  # some seconds, and only here

        name = architecture.genotype["network"]
        network: nn.Module = timm.create_model(name, num_classes=num_classes, in_chans=settings.in_channels)
        return network

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs, counted on the network without its numbers: there is no form of ours to count by."""
        return _counts(architecture.genotype["network"], num_classes, settings.in_channels, image_size)


@cache
def _counts(name: str, num_classes: int, in_channels: int, image_size: int) -> NetworkCounts:
    with torch.device("meta"):
        settings = NetworkSettings(in_channels=in_channels)
        network = TimmSpace().build(Architecture("timm", {"network": name}), num_classes, settings)
    params = count_params(network)
    return NetworkCounts(params, params, count_macs(network, (in_channels, image_size, image_size)))
