"""Masks of single weights drawn at random."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.form import ArchitectureError


def random_masks(generator: torch.Generator, shapes: Mapping[str, torch.Size], masked: int) -> dict[str, Tensor]:
    """Masks that take `masked` weights away, every subset of that many being equally likely.

    Args:
        shapes: of the weights to choose from, by name. Those that lose none have no mask.

    Raises:
        ArchitectureError: there are fewer weights than that.
    """
    total = sum(shape.numel() for shape in shapes.values())
    if masked > total:
        raise ArchitectureError(
            f"{masked:,} weights are to be masked, and what was drawn has {total:,} in convolutions"
        )
    kept = torch.ones(total, dtype=torch.bool)
    kept[torch.randperm(total, generator=generator)[:masked]] = False
    parts = kept.split([shape.numel() for shape in shapes.values()])
    found = {name: part.view(shape).clone() for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    return {name: mask for name, mask in found.items() if not bool(mask.all())}
