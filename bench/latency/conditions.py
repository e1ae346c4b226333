"""Under what a latency was measured: everything that two numbers must have in common to be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.config import ConfigError, parse
from bench.latency.timing import Protocol
from methods.spaces import NetworkSettings, get_space

FORMAT = 1


class LatencyError(ConfigError):
    """A latency that cannot be measured, fitted or used; the message says what would do."""


@dataclass(frozen=True)
class Conditions:
    """Attributes:
    space: of the measured networks.
    backend: "torch" or "onnxruntime".
    device: the hardware's name.
    device_type: "cpu" or "cuda".
    threads: of one forward pass.
    batch: images of one forward pass.
    channels, cells, stem, scales, in_channels: of the networks, as in `NetworkSettings`.
    classes, image_size: of the task.
    dtype: of weights and images.
    seed: of the drawn architectures.
    reference: digest of the network that all are measured beside.
    versions: of what computes.
    """

    space: str
    backend: str
    device: str
    device_type: str
    threads: int
    batch: int
    channels: int
    cells: int
    stem: str
    classes: int
    image_size: int
    seed: int
    reference: str
    protocol: Protocol
    scales: dict[str, dict[str, int]] = field(default_factory=dict)
    in_channels: int = 3
    dtype: str = "float32"
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def settings(self) -> NetworkSettings:
        return NetworkSettings(
            self.channels, self.cells, stem=self.stem, in_channels=self.in_channels, scales=self.scales
        )

    @property
    def scale(self) -> dict[str, int]:
        """Of the space, in its own words."""
        return self.scales.get(self.space, {})

    @property
    def unit(self) -> str:
        size = f"batch {self.batch}, {self.threads} thread{'s' * (self.threads != 1)}"
        return f"ms ({self.backend}, {size}, {self.device}, {self.protocol.clock} time)"

    @property
    def slug(self) -> str:
        """For file names; classes and channels of images where they are not CIFAR-10's."""
        scale = "".join(f"-{key}{value}" for key, value in sorted(self.scale.items()))
        sized = f"-c{self.channels}-n{self.cells}" if sized_by_settings(self.space) else ""
        images = f"{self.image_size}px" + (f"-{self.in_channels}ch" if self.in_channels != 3 else "")
        classes = f"-{self.classes}classes" if self.classes != 10 else ""
        return f"{self.space}{sized}{scale}-{images}{classes}-{self.place}"

    @property
    def place(self) -> str:
        """Where and how it was computed, for file names."""
        device = re.sub(r"[^a-z0-9]+", "-", self.device.lower()).strip("-")
        return f"{device}-{self.backend}-b{self.batch}-t{self.threads}"


PROVENANCE = ("commit", "dirty", "python", "date")


def read_conditions(document: Any, where: str) -> Conditions:
    """Raises LatencyError for what is not the beginning of a latency file of this version."""
    if not isinstance(document, Mapping) or document.get("format") != FORMAT or "space" not in document:
        raise LatencyError(f"{where} is no latency file of this version; make one with `dasbench measure-latency`")
    try:
        return parse(Conditions, {k: v for k, v in document.items() if k not in PROVENANCE}, where)
    except ConfigError as error:
        raise LatencyError(str(error)) from None


def differences(asked: Conditions, found: Conditions) -> list[str]:
    """What differs, in words."""
    one, other = asdict(asked), asdict(found)
    return [f"{name} {other[name]} instead of {one[name]}" for name in one if one[name] != other[name]]


def sized_by_settings(space: str) -> bool:
    """Whether channels and cells of the settings say anything of a space's networks."""
    place = get_space(space)
    architecture = place.reference()
    small, large = (dict(place.scale(architecture, NetworkSettings(channels=c, cells=n))) for c, n in ((8, 5), (16, 8)))
    return small != large
