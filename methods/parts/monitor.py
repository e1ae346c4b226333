"""What to watch during a search: the symptoms of collapse (all skips, flat or one-sided gates)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from methods.parts.gates import Gates
from methods.spaces.operations import SKIP


def chosen_values(chosen: Mapping[str, Sequence[str]], candidates: Sequence[str]) -> dict[str, float]:
    """Skip connections of each kind of cell, where they are a candidate, and how often each operation occurs in all.

    Args:
        chosen: by kind, the operations of the architecture that would be derived now.
        candidates: the operations that it could have.
    """
    together = [operation for operations in chosen.values() for operation in operations]
    return {
        **{named("arch/skips", kind, chosen): chosen[kind].count(SKIP) for kind in chosen if SKIP in candidates},
        **{f"arch/operations/{operation}": together.count(operation) for operation in candidates},
    }


def entropies(gates: Mapping[str, Gates], absent: Sequence[tuple[int, int]] = ()) -> dict[str, float]:
    """The entropy of the gates of each kind of cell, and `arch/entropy_uniform`: what it is when all are equal.

    Args:
        absent: (row, column) of the options that a decision does not have.
    """
    decisions, options = next(iter(gates.values())).options.shape
    found = {named("arch/entropy", kind, gates): entropy(each) for kind, each in gates.items()}
    fewer = [row for row, _ in absent]
    uniform = sum(math.log(options - fewer.count(row)) for row in range(decisions)) / decisions
    return {**found, "arch/entropy_uniform": uniform if absent else math.log(options)}


def entropy(gates: Gates) -> float:
    """Mean over the edges of the entropy of the operations' gates, in nats (log 8 = 2.08 when all eight are equal)."""
    probabilities = gates.options.detach()
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1).mean().item()


def named(key: str, kind: str, kinds: Mapping[str, object]) -> str:
    """`arch/skips_normal`; where cells are of one kind, `arch/skips`."""
    return f"{key}_{kind}" if len(kinds) > 1 else key
