"""What a network costs: of one architecture, and expected of a relaxed one, with a gradient.

A cost is bound to a space and to the networks that are built in it (their size, classes, images); it knows no supernet
and no method. Methods take one into their loss (`methods.parts.costs.objective`); `bench` says which, and of what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.parts.gates import Gates


class Cost(Protocol):
    """Attributes:
    name: "params", "macs", "intensity", "latency_ms", ...
    unit: with the convention named, as in "MACs (multiply-adds of convolutions and linear layers, one image)".
    told: what a record of its use has to say beside that, as the errors of a predictor (JSON values).
    """

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def told(self) -> Mapping[str, Any]: ...

    def discrete(self, architecture: Architecture) -> float:
        """Of an architecture of the space. Raises ArchitectureError or MethodError for one that it says nothing of."""

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        """Of the gates of each kind of cell, by what they say of the architecture that is derived from them
        (`Relaxation.choices`): 0-d, on their device, differentiable in `gates.options` and `gates.weights`.

        For a cost that is a sum over choices (`methods.parts.costs.additive`) it is the mean over architectures drawn
        by these choices; for a learned one its value at the mean of their encodings. Device work only.

        Raises:
            MethodError: it has no gradient, or is of other decisions.
        """

    def to(self, device: torch.device) -> Any:
        """Move what `expected` computes with to the gates' device; a module's own `to` will do."""


class Heeded(Protocol):
    """What a search is told of a cost that it is to heed (`methods.parts.costs.objective.CostTerm`)."""

    def objective(self, relaxed: Any) -> Any:
        """An `Objective` for what a search relaxes (`methods.spaces.relaxation.Relaxation`)."""
