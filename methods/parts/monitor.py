"""What to watch during a search: the symptoms of collapse (all skips, flat or one-sided gates)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from methods.parts.parameterisation import Gates
from methods.spaces.operations import NONE, OPERATIONS, SKIP


def genotype_values(genotype: Mapping[str, Any]) -> dict[str, float]:
    """Skip connections per cell, and how often each operation occurs in both cells together."""
    chosen = {kind: [operation for operation, _, _ in cell["edges"]] for kind, cell in genotype.items()}
    both = [operation for operations in chosen.values() for operation in operations]
    return {
        **{f"arch/skips_{kind}": operations.count(SKIP) for kind, operations in chosen.items()},
        **{f"arch/operations/{operation}": both.count(operation) for operation in OPERATIONS if operation != NONE},
    }


def entropy(gates: Gates) -> float:
    """Mean over the edges of the entropy of the operations' gates, in nats (log 8 = 2.08 when all are equal)."""
    probabilities = gates.operations.detach()
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1).mean().item()
