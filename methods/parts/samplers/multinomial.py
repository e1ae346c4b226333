"""Binary gates: one option a decision by its probability, and all others compared with it.

Cai, Zhu and Han, ICLR 2019 (ProxylessNAS), section 3.2 and equation 4. With a gradient for the gate of every option,
that of the straight-through gates is the published chain rule, dL/da_i = sum_j dL/dg_j p_j (delta_ij - p_i).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from methods.parts.gates import Gates, Logits, Options, straight_through
from methods.parts.samplers.noise import perturbed


@dataclass
class Multinomial:
    """Where the architecture parameters have no gradient (a step of the weights), nothing is compared.

    Attributes:
        generator: on the host.
    """

    generator: torch.Generator

    def __call__(self, logits: Logits) -> Gates:
        index = perturbed(logits, self.generator).argmax(dim=-1)
        chosen = tuple(index.tolist())
        compared = others(logits, chosen) if logits.options.requires_grad else ()
        return Gates(straight_through(logits.options.softmax(dim=-1), index), logits.weights, chosen, compared)


def others(logits: Logits, chosen: Options) -> tuple[Options, ...]:
    """The options that each decision has beside the chosen one."""
    there = logits.options.isfinite().tolist()
    return tuple(
        tuple(column for column, exists in enumerate(row) if exists and column != own)
        for row, own in zip(there, chosen, strict=True)
    )
