"""What single paths were run during a search: how often each option was trained, and what was drawn in an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from methods.parts.gates import Gates
from methods.parts.monitor import named
from methods.spaces.operation_names import NONE, SKIP


class PathCounts:
    """Updates of every option of every decision, from the beginning of the search.

    Args:
        decisions: by kind, how many.
        operations: names of the options.
    """

    def __init__(self, decisions: Mapping[str, int], operations: Sequence[str]) -> None:
        self.operations = tuple(operations)
        self.updates = {kind: torch.zeros(rows, len(operations), dtype=torch.int64) for kind, rows in decisions.items()}
        self.before = {kind: each.clone() for kind, each in self.updates.items()}

    def add(self, path: Mapping[str, Gates]) -> None:
        """A path whose weights are trained once."""
        for kind, gates in path.items():
            assert gates.chosen is not None
            self.updates[kind][range(len(gates.chosen)), list(gates.chosen)] += 1

    def end_epoch(self) -> dict[str, float]:
        """`paths/updates_*` over all candidates of all decisions so far, and shares of what this epoch drew."""
        every = torch.cat([each.flatten() for each in self.updates.values()]).double()
        drawn = torch.cat([self.updates[kind] - self.before[kind] for kind in self.updates]).sum(dim=0)
        share = (drawn / max(1, int(drawn.sum()))).tolist()
        self.before = {kind: each.clone() for kind, each in self.updates.items()}
        by_name = dict(zip(self.operations, share, strict=True))
        return {
            "paths/updates_least": every.min().item(),
            "paths/updates_mean": every.mean().item(),
            "paths/updates_most": every.max().item(),
            "paths/skips": by_name.get(SKIP, 0.0),
            "paths/zeros": by_name.get(NONE, 0.0),
            **{f"paths/drawn/{name}": value for name, value in by_name.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        return {"updates": dict(self.updates), "before": dict(self.before)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.updates = {kind: each.clone() for kind, each in state["updates"].items()}
        self.before = {kind: each.clone() for kind, each in state["before"].items()}


def decision_entropies(gates: Mapping[str, Gates]) -> dict[str, list[float]]:
    """The entropy of each decision, in nats, by kind."""
    return {named("arch/entropies", kind, gates): _entropies(each.options.detach()) for kind, each in gates.items()}


def _entropies(probabilities: Tensor) -> list[float]:
    found: list[float] = (-torch.xlogy(probabilities, probabilities).sum(dim=-1)).tolist()
    return found
