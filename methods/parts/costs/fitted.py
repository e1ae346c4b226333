"""Latency as a cost: a predictor that was fitted to measured networks, of architectures and of gates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.costs.encodings import Encoding, Way, encoding_of
from methods.parts.costs.predictors import KINDS, Predictor
from methods.parts.gates import Gates
from methods.spaces.relaxation import Relaxation


@dataclass
class FittedCost:
    """A cost as `methods.parts.costs.protocol` has it.

    Attributes:
        encoding: what the predictor reads, of networks of its space.
        predictor: on the host, in evaluation.
        unit: milliseconds, of what, as it was measured.
        told: what a record of its use should say: kind, held-out errors, repeat error, device (JSON values).
    """

    encoding: Encoding
    predictor: Predictor
    unit: str
    told: Mapping[str, Any] = field(default_factory=dict)
    name: str = "latency_ms"
    _moved: dict[torch.device, Predictor] = field(default_factory=dict, repr=False, compare=False)

    def discrete(self, architecture: Architecture) -> float:
        with torch.no_grad():
            return self.predictor(self.encoding.discrete(architecture)[None]).item()

    def expected(self, gates: Mapping[str, Gates]) -> Tensor:
        """The prediction at the gates' encoding; of a table that is the mean over architectures drawn by them."""
        encoded = self.encoding.expected(gates)
        return self._on(encoded.device)(encoded[None])[0].to(encoded.dtype)

    def to(self, device: torch.device) -> FittedCost:
        self._on(device)
        return self

    def _on(self, device: torch.device) -> Predictor:
        if device not in self._moved:
            self._moved[device] = copy.deepcopy(self.predictor).to(device)
        return self._moved[device]


def restored(
    kind: str,
    space: str,
    tensors: Mapping[str, Tensor],
    unit: str,
    told: Mapping[str, Any],
    way: Way = "soft",
    relaxed: Relaxation | None = None,
) -> FittedCost:
    """The cost of a predictor's saved state.

    Args:
        way, relaxed: how gates are encoded, and what they are of (`encoding_of`).

    Raises:
        MethodError: an unknown kind, or a state that is not of this kind and space.
    """
    encoding = encoding_of(space, way, relaxed)
    if kind not in KINDS:
        raise MethodError(f"unknown predictor '{kind}'; known: {', '.join(KINDS)}")
    predictor = KINDS[kind](encoding)
    try:
        predictor.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise MethodError(
            f"the predictor '{kind}' of {space} does not fit this version of the space: {error}"
        ) from None
    return FittedCost(encoding, predictor.eval().requires_grad_(False), unit, told)
