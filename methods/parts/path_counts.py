"""What single paths were run during a search: how often each option was trained, and what was drawn in an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from methods.parts.gates import Gates
from methods.parts.monitor import named
from methods.spaces.operation_names import NOTHING, SKIP


class PathCounts:
    """Updates of every option of every decision, from the beginning of the search.

    Args:
        options: by kind, what each decision chooses among; a text is the name of an operation.
    """

    def __init__(self, options: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self.options = options
        self.updates = {kind: [[0] * len(each) for each in decisions] for kind, decisions in options.items()}
        self.drawn: Counter[str] = Counter()

    def add(self, chosen: Mapping[str, Sequence[int]]) -> None:
        """A path whose weights are trained once: by kind, the option of every decision."""
        for kind, columns in chosen.items():
            for row, column in enumerate(columns):
                self.updates[kind][row][column] += 1
                if isinstance(name := self.options[kind][row][column], str):
                    self.drawn[name] += 1

    def end_epoch(self) -> dict[str, float]:
        """`paths/updates_*` over all candidates of all decisions so far, and shares of what this epoch drew."""
        every = [count for rows in self.updates.values() for row in rows for count in row]
        names = dict.fromkeys(
            each for decisions in self.options.values() for decision in decisions for each in decision
            if isinstance(each, str)
        )  # fmt: skip
        share = {name: self.drawn[name] / max(1, self.drawn.total()) for name in names}
        self.drawn.clear()
        return {
            "paths/updates_least": float(min(every)),
            "paths/updates_mean": sum(every) / len(every),
            "paths/updates_most": float(max(every)),
            "paths/skips": share.get(SKIP, 0.0),
            "paths/zeros": sum(share.get(name, 0.0) for name in NOTHING),
            **{f"paths/drawn/{name}": value for name, value in share.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        return {"updates": {kind: [list(row) for row in rows] for kind, rows in self.updates.items()},
                "drawn": dict(self.drawn)}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.updates = {kind: [list(row) for row in rows] for kind, rows in state["updates"].items()}
        self.drawn = Counter(state["drawn"])


def decision_entropies(gates: Mapping[str, Gates]) -> dict[str, list[float]]:
    """The entropy of each decision, in nats, by kind."""
    return {named("arch/entropies", kind, gates): _entropies(each.options.detach()) for kind, each in gates.items()}


def _entropies(probabilities: Tensor) -> list[float]:
    found: list[float] = (-torch.xlogy(probabilities, probabilities).sum(dim=-1)).tolist()
    return found
