"""Gumbel noise: adding it to log-probabilities and taking the largest draws from the probabilities.

Gumbel, 1954; Maddison, Mnih and Teh, ICLR 2017 (arXiv 1611.00712), section 2. The k largest, in their order, are k
draws without replacement (Plackett-Luce; Kool, van Hoof and Welling, ICML 2019, arXiv 1903.06059, section 2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.parts.gates import Logits


def gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent standard Gumbel noise of a tensor's shape, float32, on its device; drawn again until all is finite.

    Args:
        generator: on the host.
    """
    while True:
        noise = -torch.empty(like.shape).exponential_(generator=generator).log()
        if bool(noise.isfinite().all()):
            return noise.to(like.device)


def perturbed(logits: Logits, generator: torch.Generator) -> Tensor:
    """(decisions, options): log-probabilities with noise; minus infinity stays where there is no such option."""
    log_probabilities = logits.options.log_softmax(dim=-1)
    return log_probabilities + gumbel(log_probabilities, generator)
