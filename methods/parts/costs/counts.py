"""Parameters, MACs and arithmetic intensity as costs; its inverse, too, for which less is more intense.

Of an architecture they are what counting its built network gives, in closed form where there is one. Expected costs are
exact, too: no candidate of a space's relaxation changes the widths that another one sees. Where widths are chosen,
shapes depend on two choices at once (`methods.parts.costs.widths`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.costs.additive import Additive, tabulate
from methods.parts.costs.effective_shapes import EffectiveShapes
from methods.parts.counts import ImageShape, NetworkCounts
from methods.parts.gates import Gates
from methods.spaces import NetworkSettings, at_scale, build, get_space
from methods.spaces.relaxation import Relaxation

MOVED = "float32 weights, inputs and outputs of convolutions and linear layers, one image"
UNITS = {
    "params": "parameters (inference, without an auxiliary head)",
    "macs": "MACs (multiply-adds of convolutions and linear layers, one image; no normalisation, pool or activation)",
    "bytes": f"bytes ({MOVED})",
    "intensity": f"MACs per byte ({MOVED})",
    "bytes_per_mac": f"bytes per MAC ({MOVED})",
}
SHAPED = ("macs", "params")
"""Counts with an expectation where widths are chosen."""
BYTES = 4
"""Of a float32."""


@dataclass(frozen=True)
class Built:
    """Which network stands for an architecture: that of a retraining.

    Attributes:
        settings: its size where the architecture states none.
        image_size: pixels a side.
    """

    num_classes: int
    settings: NetworkSettings = field(default_factory=NetworkSettings)
    image_size: int = 32

    def counts(self, architecture: Architecture) -> NetworkCounts:
        """Raises ArchitectureError as the space's `counts` does."""
        sized = at_scale(architecture, self.settings)
        return get_space(sized.space).counts(sized, self.num_classes, self.settings, self.image_size)

    def traffic(self, architecture: Architecture) -> int:
        """Bytes that the layers of the built network read and write (`layer_bytes`)."""
        with torch.device("meta"):
            network = build(architecture, self.num_classes, self.settings)
        return layer_bytes(network, (self.settings.in_channels, self.image_size, self.image_size))


@dataclass
class Counted:
    """A count of the built network.

    Attributes:
        relaxed: what gates are of; without it there is no expected cost.
        count: of an architecture.
    shapes: classes, image channels, pixels a side; for the expected cost of widths.
    """

    name: str
    relaxed: Relaxation | None
    count: Callable[[Architecture], float]
    told: Mapping[str, Any] = field(default_factory=dict)
    shapes: tuple[int, int, int] | None = None

    @property
    def unit(self) -> str:
        return UNITS[self.name]

    def discrete(self, architecture: Architecture) -> float:
        return self.count(architecture)

    @cached_property
    def table(self) -> Additive | EffectiveShapes:
        """Raises MethodError where there is no relaxation, or one of widths that says nothing of this count."""
        if self.relaxed is None:
            raise MethodError(f"no gates are of this space: it has no expected {self.name}")
        if self.relaxed.layers is None:
            return tabulate(self.name, self.unit, self.relaxed, self.count)
        if self.shapes is None or self.name not in SHAPED:
            raise MethodError(f"widths have no expected {self.name}; they have {' and '.join(SHAPED)}")
        layers = self.relaxed.layers(*self.shapes)
        decisions = [(name, len(values)) for name, values in self.relaxed.decisions]
        return EffectiveShapes(self.relaxed.topology.kinds[0], decisions, getattr(layers, self.name))

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        return self.table.expected(gates)

    def to(self, device: torch.device) -> Counted:
        self.table.to(device)
        return self


@dataclass
class Ratio:
    """One count over another. Expected is the ratio of both expectations, which is not the expectation of the ratio."""

    name: str
    over: Counted
    under: Counted
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return UNITS[self.name]

    def discrete(self, architecture: Architecture) -> float:
        return self.over.discrete(architecture) / self.under.discrete(architecture)

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        return self.over.expected(gates) / self.under.expected(gates)

    def to(self, device: torch.device) -> Ratio:
        self.over.to(device)
        self.under.to(device)
        return self


def counted(on: str, built: Built, relaxed: Relaxation | None = None) -> Counted | Ratio:
    """The cost called `on`, one of `UNITS`, of networks built so.

    Args:
        relaxed: for an expected cost, what the gates are of.
    """
    shapes = built.num_classes, built.settings.in_channels, built.image_size
    macs = Counted("macs", relaxed, lambda architecture: built.counts(architecture).macs, shapes=shapes)
    traffic = Counted("bytes", relaxed, built.traffic)
    if on == "intensity":
        return Ratio(on, macs, traffic)
    if on == "bytes_per_mac":
        return Ratio(on, traffic, macs)
    if on == "macs":
        return macs
    return Counted(on, relaxed, lambda architecture: getattr(built.counts(architecture), on), shapes=shapes)


def layer_bytes(network: nn.Module, image_shape: ImageShape) -> int:
    """Bytes of the weights, inputs and outputs of every convolution and linear layer that one image reaches, each as a
    float32 that is read or written once; what lies between these layers is not counted."""
    total = 0

    def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weights = sum(parameter.numel() for parameter in module.parameters())
        total += BYTES * (weights + inputs[0].numel() + output.numel())

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(hook) for module in layers]
    first = next(network.parameters())
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image_shape, device=first.device, dtype=first.dtype))
    for handle in hooks:
        handle.remove()
    return total
