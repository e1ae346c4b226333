"""Fixed-ratio pruning: filters by their weights or by batch-norm scales, single weights, operations of a supernet."""

from __future__ import annotations

from methods.pruning.l1_filters import L1FilterPruning
from methods.pruning.magnitude import MagnitudePruning
from methods.pruning.operations import OperationPruning
from methods.pruning.slimming import NetworkSlimming

__all__ = ["L1FilterPruning", "MagnitudePruning", "NetworkSlimming", "OperationPruning"]
