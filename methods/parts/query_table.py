"""The query table of networks on one set of weights: for a cost, the network to take (MutualNet, ECCV 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from methods.architecture import Architecture


@dataclass(frozen=True)
class Member:
    """One network on the shared weights, as it did on the validation part after its statistics were taken anew.

    Attributes:
        chosen: the value of every decision, by its name.
        macs, params: of the network built by itself.
        accuracy: in percent.
        loss: mean cross entropy.
    """

    architecture: Architecture
    chosen: Mapping[str, Any]
    macs: int
    params: int
    accuracy: float
    loss: float

    def line(self) -> dict[str, Any]:
        """As a record holds it (JSON values)."""
        return {
            "architecture": self.architecture.digest,
            "chosen": dict(self.chosen),
            "macs": self.macs,
            "params": self.params,
            "valid_accuracy": self.accuracy,
            "valid_loss": self.loss,
        }


def query_table(members: Iterable[Member]) -> list[Member]:
    """Those worth taking, by rising MACs: one that costs more and is no more accurate is not among them."""
    table: list[Member] = []
    for member in sorted(members, key=lambda each: (each.macs, -each.accuracy, each.loss)):
        if not table or member.accuracy > table[-1].accuracy:
            table.append(member)
    return table
