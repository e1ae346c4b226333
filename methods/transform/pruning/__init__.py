"""Fixed-ratio pruning of a trained network: filters by their weights or by batch-norm scales, single weights."""

from __future__ import annotations

from methods.transform.pruning.l1_filters import L1FilterPruning
from methods.transform.pruning.magnitude import MagnitudePruning
from methods.transform.pruning.slimming import NetworkSlimming

__all__ = ["L1FilterPruning", "MagnitudePruning", "NetworkSlimming"]
