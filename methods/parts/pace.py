"""The pace of architecture parameters: how a shorter search takes them as far as the published one did.

An optimiser's step is at most about its learning rate (Adam), or in proportion to it (SGD), so that the sum of the
learning rates over all steps is how far a parameter that is always pushed one way can get. A search with fewer steps
keeps that sum by a learning rate that is larger by the factor of steps. What pushes steadily moves a parameter as far
as in the published search; what is noise adds up by the square root of the steps and so moves it further, by the
square root of the factor: a reduced search decides, but it decides less reliably.
"""

from __future__ import annotations

import math
from typing import Literal

Pace = Literal["own", "published"]
"""Learning rates as they stand, or those that keep the published sum."""

CIFAR_IMAGES = 50_000
"""Training images of CIFAR-10, on which all searches here were published."""


def steps_of(share: float, batch_size: int, epochs: int = 1) -> int:
    """Steps of some epochs over a share of CIFAR-10's training images; the last batch of an epoch may be smaller."""
    return math.ceil(round(share * CIFAR_IMAGES) / batch_size) * epochs


def factor(pace: Pace, published: int, steps: int) -> float:
    """What a learning rate is multiplied by.

    Args:
        published: steps that the parameters take in the published search.
        steps: that they take in this one.
    """
    return published / steps if pace == "published" else 1.0
