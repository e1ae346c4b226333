"""Hard Gumbel-softmax: one option a decision, with the gradient of the relaxed draw.

Dong and Yang, CVPR 2019 (GDAS), equations 3 to 5; Jang, Gu and Poole, ICLR 2017 (arXiv 1611.01144). The temperature
decides how the gradient is shared among the options and nothing of what is drawn: at every one an option comes as often
as its probability says.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from methods.parts.gates import Gates, Logits, straight_through
from methods.parts.samplers.noise import perturbed


@dataclass
class HardGumbel:
    """Attributes:
    generator: on the host.
    temperature: tau, above 0; a schedule sets it.
    """

    generator: torch.Generator
    temperature: float = 1.0

    def __call__(self, logits: Logits) -> Gates:
        scores = perturbed(logits, self.generator)
        index = scores.argmax(dim=-1)
        gates = straight_through((scores / self.temperature).softmax(dim=-1), index)
        return Gates(gates, logits.weights, tuple(index.tolist()))
