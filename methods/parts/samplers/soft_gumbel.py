"""Soft Gumbel-softmax: every option a decision, weighted by a relaxed draw.

Jang, Gu and Poole, ICLR 2017 (arXiv 1611.01144), section 2.1. At a high temperature all options weigh nearly the same,
whatever their probabilities; near zero the one drawn weighs one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods.parts.gates import Gates, Logits
from methods.parts.samplers.noise import gumbel


@dataclass
class SoftGumbel:
    """Attributes:
    generator: on the host.
    temperature: tau, above 0; a schedule sets it.
    """

    generator: torch.Generator
    temperature: float = 1.0

    def __call__(self, logits: Logits) -> Gates:
        return self.at(logits, self.noise(logits))

    def noise(self, logits: Logits) -> Tensor:
        """Of one draw, (decisions, options)."""
        return gumbel(logits.options, self.generator)

    def at(self, logits: Logits, noise: Tensor) -> Gates:
        """The draw that this noise gives, once more."""
        scores = logits.options.log_softmax(dim=-1) + noise
        return Gates((scores / self.temperature).softmax(dim=-1), logits.weights)
